"""The workshop of the course: record, check and build. Chapters never import it."""
