"""The Python client, and the commands ``fleet`` and ``fleet-key``.

``from fleet.client import Client`` is the public way in; it is loaded when it is asked for, so that ``fleet --help`` stays light.
"""
