"""The command line: the only place that prints or exits.

`main` is a table of verbs; each is one small file, imported when it is called. stdout is the answer that was asked for,
everything else goes to stderr.
"""
