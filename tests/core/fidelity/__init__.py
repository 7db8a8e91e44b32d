"""The same code, run in process, on `local`, by a Docker engine and in a pod: what each one sees.

`programs` has the user's files, `scenarios` what is run and what is looked at, `columns` where,
`differences` what is known not to be equal, and why. `python -m tests.core.fidelity` writes the
tables of docs/fidelity.md from them.
"""
