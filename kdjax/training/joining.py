"""The flags by which several processes train one network. Loads no JAX."""

from kdjax.errors import InputError


def check(
    coordinator: str | None, processes: int | None, process: int | None, *, cluster: bool
) -> None:
    """Raises InputError unless the flags name a process, or a cluster that does, or nothing."""
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in given.items() if value is None]
    if cluster and len(missing) < 3:
        flags = ", ".join(given)
        raise InputError(f"--cluster: takes {flags} from SLURM or Open MPI; leave them out")
    if len(missing) == 3:
        return
    if missing:
        raise InputError(f"{missing[0]} is missing; {', '.join(given)} go together")
    assert coordinator is not None
    assert processes is not None
    assert process is not None
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"--coordinator: {coordinator!r}; give HOST:PORT of process 0")
    if not 0 <= process < processes:
        raise InputError(
            f"--process: {process} of {processes} --processes; they are numbered from 0"
        )
