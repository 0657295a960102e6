"""The judge: a student's notebook runs in a sandbox, the checks run outside and ask it questions over a pipe."""
