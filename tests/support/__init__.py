"""What the tests share: real fleets of real processes, waiting for conditions, and guards against leaks."""
