"""What the course adds to the science: data, the patients and their remedies, the clinic, quizzes and the ledger.

Chapters import it; the instrument does not know it.
"""
