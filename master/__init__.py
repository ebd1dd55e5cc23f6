"""The master's daemon: admission, presence, jobs, job cache, events and the control socket."""
