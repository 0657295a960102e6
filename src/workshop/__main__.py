"""Command line of the workshop."""

from __future__ import annotations

import argparse
import errno
import sys
from pathlib import Path

from workshop.book import Book, BookError

BESIDE_THE_BOOK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
"""Failures of the disk and its permissions: a message says all that a traceback could."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m workshop", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository (default: here)")
    commands = parser.add_subparsers(dest="command", required=True)

    record = commands.add_parser("record", help="execute the pages that are out of date and write their notebooks")
    record.add_argument("pages", nargs="*", metavar="PAGE", help="path or name, e.g. reproduce/vanishing")
    record.add_argument("--all", action="store_true", help="record whether out of date or not")
    record.add_argument("--jobs", type=int, default=2, metavar="N", help="pages at a time (default: 2)")

    commands.add_parser("check", help="pages, notebooks, links, figures and citations, without running anything")
    commands.add_parser("recipes", help="write the page of recipes from the chapters that run them")
    sources = commands.add_parser("sources", help="print a page's part What the sources say, ready to paste")
    sources.add_argument("page", metavar="PAGE", help="path or name, e.g. why/descent")
    sources.add_argument("--write", action="store_true", help="put it in the page, under the heading that is there")
    seeds = commands.add_parser(
        "seeds", help="run a page's solutions with ten other seeds: what must tolerances cover?"
    )
    seeds.add_argument("pages", nargs="+", metavar="PAGE", help="path or name, e.g. remedies/matrix")
    commands.add_parser("site", help="build the site from the recordings, running nothing")
    plain = commands.add_parser("plain", help="the same site by plain Sphinx, where jupyter-book is not; what differs?")
    plain.add_argument("--with", dest="usual", type=Path, metavar="DIR", help="the usual site (default: _build/html)")
    live = commands.add_parser("live", help="bring Python for the browser into a cache, for pages that run on the site")
    live.add_argument("--table", action="store_true", help="print what make test-live measured, page by page")
    live.add_argument("--seconds", type=int, default=0, metavar="N", help="give up after so long; what came stays")
    live.add_argument("--check", action="store_true", help="bring nothing; exit 1 where the cache is not complete")
    commands.add_parser("pdf", help="print the whole book as one PDF, from the recordings")

    questions = commands.add_parser("questions", help="the book's questions as QTI 2.1, for a learning platform")
    questions.add_argument("pages", nargs="*", metavar="PAGE", help="path or name (default: all that ask any)")
    questions.add_argument("--out", type=Path, required=True, metavar="ZIP", help="where the package goes")

    release = commands.add_parser("release", help="write the student versions of assignments")
    release.add_argument("names", nargs="*", metavar="NAME", help="folder in assignments/, e.g. chain-and-equations")
    release.add_argument("--all", action="store_true", help="every assignment whose master is here")
    release.add_argument("--check", action="store_true", help="write nothing; exit 1 where one is out of step")

    classroom = commands.add_parser("classroom", help="the repository that a GitHub Classroom starts from")
    classroom.add_argument("name", metavar="NAME", help="folder in assignments/, e.g. chain-and-equations")
    classroom.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")

    grade = commands.add_parser("grade", help="grade a folder of submissions into a gradebook with feedback")
    grade.add_argument("name", metavar="NAME", help="folder in assignments/, e.g. chain-and-equations")
    grade.add_argument("source", type=Path, metavar="SUBMISSIONS", help="a folder or a zip of what students handed in")
    grade.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the gradebook and feedback go")
    grade.add_argument("--roster", type=Path, metavar="CSV", help="columns id, last_name, first_name, email")
    grade.add_argument("--due", metavar="WHEN", help="e.g. 2026-11-30T23:59, local time unless it names a zone")
    grade.add_argument(
        "--extensions", type=Path, metavar="CSV", help="columns id, due: who has longer (kept until given)"
    )
    grade.add_argument("--jobs", type=int, default=1, metavar="N", help="submissions at a time (default: 1)")
    grade.add_argument("--dask", metavar="ADDRESS", help="judge on the workers of this Dask scheduler instead")
    grade.add_argument("--seed", type=int, help="of the hidden checks' inputs (default: as last time, or new)")
    grade.add_argument("--isolation", choices=["auto", "bubblewrap", "process"], default="auto")
    grade.add_argument("--again", action="store_true", help="judge everyone anew")

    formgrade = commands.add_parser("formgrade", help="open nbgrader's formgrader on what grade has made")
    formgrade.add_argument("out", type=Path, metavar="DIR", help="the folder given to grade as --out")

    fork = commands.add_parser("fork", help="give the book another address, everywhere")
    fork.add_argument("repository", metavar="OWNER/REPO", help="the repository on GitHub")
    fork.add_argument("--branch", help="branch that readers' links open (default: unchanged)")
    fork.add_argument("--site", help="address of the published site (default: GitHub Pages of the repository)")

    test = commands.add_parser("test", help="every test, chapters included; all stages run, a summary names each")
    test.add_argument("--jobs", type=int, default=2, metavar="N", help="tests and chapters at a time (default: 2)")
    test.add_argument("--fast", action="store_true", help="only what belongs to the files that were changed")

    processors = commands.add_parser("processors", help="tests and chapters as on other processors, in a table")
    processors.add_argument("names", nargs="*", metavar="NAME", help="of simulated processors (default: all)")
    processors.add_argument("--jobs", type=int, default=2, metavar="N", help="at a time (default: 2)")
    processors.add_argument("--path", nargs="*", default=[], help="tests and notebooks instead of all")

    options = parser.parse_args(arguments)
    book = Book(options.root.resolve())
    # Each command is imported when it is asked for: `check` must not wait for what only `site` needs.
    try:
        if options.command == "record":
            from workshop.record import record as run

            return 1 if run(book, options.pages, everything=options.all, jobs=options.jobs) else 0
        if options.command == "check":
            from workshop.check import report

            return report(book)
        if options.command == "recipes":
            from workshop.recipes import write as write_recipes

            write_recipes(book)
        if options.command == "sources":
            from workshop.sources import section, write

            if options.write:
                write(book, book.find(options.page))
                return 0
            print(section(book.find(options.page)), end="")
        if options.command == "seeds":
            from workshop.seeds import keep

            wrong = [said for page in options.pages for said in keep(book, book.find(page))]
            print("\n".join(wrong) or "seeds: every tolerance covers ten seeds")
            return 1 if wrong else 0
        if options.command == "site":
            from workshop.site import build

            build(book)
        if options.command == "plain":
            from workshop.plain import plain as run

            return run(book, options.usual)
        if options.command == "live":
            from workshop.live import supply

            if options.check:
                return 1 if supply.lacking() else 0
            if options.table:
                from workshop.live.table import write as write_table

                write_table(book.root)
                return 0
            with supply.limit(options.seconds):
                supply.fill()
        if options.command == "pdf":
            from workshop.pdf import pdf

            pdf(book)
        if options.command == "questions":
            from workshop.questions import write as write_questions

            write_questions(book, options.pages, options.out)
        if options.command == "release":
            from workshop.release import release as run

            return 1 if run(book, options.names, everything=options.all, check=options.check) else 0
        if options.command == "classroom":
            from workshop.classroom import write as write_classroom

            write_classroom(book, options.name, options.out)
        if options.command == "grade":
            from workshop.grading.grade import grade as run

            wanted = ("roster", "due", "extensions", "jobs", "dask", "seed", "isolation")
            chosen = {name: getattr(options, name) for name in wanted}
            return run(book, options.name, options.source, options.out, again=options.again, **chosen)
        if options.command == "formgrade":
            from workshop.grading.formgrade import formgrade as run

            return run(options.out)
        if options.command == "fork":
            from workshop.fork import fork as move

            move(book, options.repository, branch=options.branch, site=options.site)
        if options.command == "test":
            from workshop.suite import test as run

            return run(book, options.jobs, only_changed=options.fast)
        if options.command == "processors":
            from workshop.processors import processors as run

            return run(book, options.names, options.jobs, options.path)
    except BookError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in BESIDE_THE_BOOK:
            raise
        print(f"{options.command}: {error.strerror}: {error.filename or 'on this disk'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{options.command}: interrupted; nothing was left half written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
