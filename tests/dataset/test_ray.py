"""sweep on a Ray cluster: the rows are the same."""

import socket
import sys

import pytest
from tests.dataset.designs import tiny

from adaptwin import SpecError
from adaptwin.dataset.sweep import sweep


def test_a_cluster_makes_the_same_partitions_to_the_byte_and_is_left_running(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("adaptwin.dataset.sweep.MIXES_PER_PARTITION", 2)
    monkeypatch.setattr("adaptwin.dataset.sweep.PARTITIONS_PER_WORKER", 1)  # two of the four partitions at once
    local, remote = tmp_path / "local", tmp_path / "remote"
    here, there = sweep(tiny(), local, jobs=1), sweep(tiny(), remote, engine="ray")
    assert there.rows.equals(here.rows)
    names = ["design.yaml", *(f"part-0000{number}.parquet" for number in range(4))]
    assert sorted(file.name for file in remote.iterdir()) == names
    assert all((local / name).read_bytes() == (remote / name).read_bytes() for name in names)
    assert cluster.is_initialized()


def test_without_ray_the_error_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # makes the import of this module fail
    with pytest.raises(SpecError, match=r"^engine: ray needs Ray: pip install 'adaptwin\[ray\]'$"):
        sweep(tiny(), tmp_path / "runs", engine="ray")
    assert not (tmp_path / "runs").exists()


def test_without_a_cluster_at_the_address_it_does_not_wait(tmp_path):
    pytest.importorskip("ray")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # the port is taken, but nothing listens
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(SpecError, match=f"^address: {address}: no Ray cluster answers there"):
            sweep(tiny(), tmp_path / "runs", engine="ray", address=address)
    with pytest.raises(SpecError, match=r"^address: moon: Invalid address format: moon"):
        sweep(tiny(), tmp_path / "runs", engine="ray", address="moon")
    assert not (tmp_path / "runs").exists()
