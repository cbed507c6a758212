"""The records of MIT-BIH come from a server, whole or not at all."""

import functools
import http.server
import shutil
import socket
import threading

import pytest
from record_files import checksums_of, files_below

from kdjax.datasets import load, mitbih_beats, prepare_mitbih
from kdjax.errors import InputError


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        self.server.requested.append(self.path)


@pytest.fixture
def serve():
    """Starts a local web server on a folder; gives its address and the list of its requests."""
    servers = []

    def start(folder):
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.requested = []
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/", server.requested

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestDownload:
    def test_gives_the_same_beats_as_a_folder(self, source, prepared, tmp_path, serve):
        url, requested = serve(source)
        rows = prepare_mitbih(None, tmp_path, True, checksums=checksums_of(source), url=url)
        assert rows == prepared[1]
        assert load("mitbih", tmp_path).fingerprint == load("mitbih", prepared[0]).fingerprint
        assert len(requested) == 6

    def test_says_what_it_fetches(self, source, tmp_path, serve):
        url, _ = serve(source)
        lines = []
        mitbih_beats.download(tmp_path, checksums_of(source), url=url, report=lines.append)
        assert lines[0] == f"downloading {url}a1.atr (1 of 6)"
        assert len(lines) == 6

    def test_fetches_only_what_is_not_there_whole(self, source, tmp_path, serve):
        url, requested = serve(source)
        folder = shutil.copytree(source, tmp_path / "copy")
        (folder / "a1.dat").write_bytes(b"cut short")
        (folder / "b2.hea").unlink()
        mitbih_beats.download(folder, checksums_of(source), url=url, report=str)
        assert sorted(requested) == ["/a1.dat", "/b2.hea"]
        assert checksums_of(folder) == checksums_of(source)

    def test_goes_on_where_it_stopped(self, source, tmp_path, serve):
        partly = shutil.copytree(source, tmp_path / "partly")
        (partly / "a1.hea").unlink()
        url, _ = serve(partly)
        with pytest.raises(InputError, match=r"cannot download .*/a1\.hea \(HTTP Error 404"):
            mitbih_beats.download(tmp_path / "to", checksums_of(source), url=url, report=str)
        assert files_below(tmp_path / "to") == ["a1.atr", "a1.dat"]
        url, requested = serve(source)
        mitbih_beats.download(tmp_path / "to", checksums_of(source), url=url, report=str)
        assert requested == ["/a1.hea", "/b2.atr", "/b2.dat", "/b2.hea"]

    def test_a_file_that_comes_damaged_is_not_kept(self, source, tmp_path, serve):
        other = shutil.copytree(source, tmp_path / "other")
        (other / "a1.dat").write_bytes(b"<html>not the file</html>")
        url, _ = serve(other)
        with pytest.raises(InputError, match=r"a1\.dat arrived damaged \(25 bytes"):
            mitbih_beats.download(tmp_path / "to", checksums_of(source), url=url, report=str)
        assert files_below(tmp_path / "to") == ["a1.atr"]

    def test_no_network_is_one_line(self, source, tmp_path):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
            with pytest.raises(InputError, match=r"cannot download .*check the network") as error:
                mitbih_beats.download(tmp_path, checksums_of(source), url=url, report=str)
        assert "\n" not in str(error.value)


class TestPublished:
    def test_the_checksums_are_of_44_records_with_three_files_each(self):
        names = [name.split(".") for name in mitbih_beats.CHECKSUMS]
        records = {record for record, _ in names}
        assert len(mitbih_beats.CHECKSUMS) == 132
        assert len(records) == 44
        assert records.isdisjoint({"102", "104", "107", "217"})
        assert {suffix for _, suffix in names} == {"dat", "hea", "atr"}
        assert all(len(digest) == 64 for digest in mitbih_beats.CHECKSUMS.values())
