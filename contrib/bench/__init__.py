"""Measurements of this server: ``contrib/bench/run --help``.

``scenarios`` says what is measured, ``servers`` on what, ``runs`` does one run, and ``compare``,
``growth``, ``profile`` and ``scale`` are the commands. ``loadgen`` holds the load generator.
"""
