"""Pages of the documentation that are made from the code: `python -m docs.make` writes them; a test holds them against what it would write.

docs/keys.md        every key of a sweep, from its JSON schema
docs/measures.md    every measure: what it is, its limits, parameters, columns, and a picture of known fields
docs/tables.md      every column of the tables
docs/commands.md    every command and option
docs/exit_codes.md  every exit code
docs/pictures/      the measures' pictures

`python -m docs.make findings FOLDER...` writes docs/findings_tables.md from results folders, which are not in the repository.
`hook.py` and `site.yml` are of the site that `make docs` builds.
"""
