"""Stand-ins of the outside systems, for the demo, the tests and the benchmarks. Never for real data.

Each is a module with `main(arguments: list[str]) -> int`, started by `python -m sandbox NAME`, that prints one JSON
line when it is ready. To add one: write the module, and name it in `sandbox/__main__.py`.
"""
