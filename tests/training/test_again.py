"""The same command once more, and others, on a run directory that is there already."""

import shutil
from pathlib import Path

import pytest
import tiny
from run_directory import contents, copy_of_the_run, rows

from kdjax import datasets
from kdjax.errors import InputError
from kdjax.files import read_json
from kdjax.runs import checkpoints, claim, directory, evaluation
from kdjax.training import loop

pytestmark = pytest.mark.usefixtures("small_world")


class TestAgain:
    def test_a_finished_run_prints_its_results_and_trains_nothing(self, capsys):
        run = tiny.trained()
        before = contents(run.path)
        assert loop.train(tiny.config(), run.path) == run.result
        assert contents(run.path) == before
        text = capsys.readouterr().out
        assert evaluation.result_block(run.result) in text
        teacher = read_json(run.path / "teacher" / "result.json")
        assert evaluation.result_block(teacher) in text
        assert "Epoch:" not in text

    def test_another_config_is_refused_by_the_fields_that_differ(self):
        run = tiny.trained().path
        before = contents(run)
        with pytest.raises(InputError, match="or start again") as caught:
            loop.train(tiny.config(epochs=9, kd__temperature=2.0), run)
        message = str(caught.value)
        assert "epochs: 3 there, 9 now" in message
        assert "kd.temperature: 4.0 there, 2.0 now" in message
        assert "seed" not in message
        assert "\n" not in message
        assert contents(run) == before

    def test_the_folder_of_the_data_is_no_part_of_a_config(self):
        run = tiny.trained()
        assert loop.train(tiny.config(data__dir="/elsewhere"), run.path) == run.result

    def test_overwrite_starts_anew_also_where_the_config_is_damaged(self, tmp_path):
        run = copy_of_the_run(tmp_path)
        (run / "notes.txt").write_text("of the old run")
        (run / "config.json").write_text('{"epochs": ')
        with pytest.raises(InputError, match="cannot be read"):
            loop.train(tiny.config(epochs=1), run)
        loop.train(tiny.config(epochs=1, teacher__epochs=1), run, overwrite=True)
        assert not (run / "notes.txt").exists()
        assert len(rows(run)) == len(rows(run / "teacher")) == 1
        assert checkpoints.steps(run / checkpoints.LAST) == [tiny.STEPS]

    def test_overwrite_replaces_a_teacher_whose_student_was_not_begun(self, workdir):
        changed = tiny.config(epochs=1, teacher__epochs=1)
        with pytest.raises(InputError, match="or start again"):
            loop.train(changed, workdir)
        loop.train(changed, workdir, overwrite=True)
        assert len(rows(workdir / "teacher")) == 1

    @pytest.mark.parametrize(
        "changes", [{"batch_size": 4000}, {"epochs": 0}, {"data__fold": 9}, {"batch_size": 1}]
    )
    def test_overwrite_deletes_nothing_for_a_config_that_cannot_be_trained(self, tmp_path, changes):
        run = copy_of_the_run(tmp_path)
        before = contents(run)
        with pytest.raises(InputError):
            loop.train(tiny.config(**changes), run, overwrite=True)
        assert contents(run) == before

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_second_process_is_kept_out(self, workdir, overwrite):
        before = contents(workdir)
        with (
            claim.locked(workdir),
            pytest.raises(claim.Busy, match="another process is training there"),
        ):
            loop.train(tiny.config(), workdir, overwrite)
        assert contents(workdir) == before

    @pytest.mark.parametrize("teacher", ["none", "student/teacher"])
    def test_overwrite_deletes_nothing_for_a_teacher_that_cannot_be_had(self, tmp_path, teacher):
        run = copy_of_the_run(tmp_path, "student")
        before = contents(run)
        named = tiny.config(teacher__workdir=str(tmp_path / teacher))
        with pytest.raises(InputError, match=r"teacher\.workdir"):
            loop.train(named, run, overwrite=True)
        assert contents(run) == before

    def test_a_finished_run_needs_neither_its_data_nor_its_teacher(self, tmp_path, capsys):
        run = copy_of_the_run(tmp_path)
        shutil.rmtree(run / "teacher")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets, "load", lambda *_: pytest.fail("the data was asked for"))
            result = loop.train(tiny.config(), run)
        assert result == read_json(run / "result.json")
        assert "is finished" in capsys.readouterr().out

    @pytest.mark.parametrize("where", ["", "teacher"])
    def test_a_config_that_cannot_be_read_is_restored_by_the_same_command(self, tmp_path, where):
        run = copy_of_the_run(tmp_path)
        whole = read_json(run / where / "config.json")
        (run / where / "config.json").write_bytes(b"")
        with pytest.raises(InputError, match="run the command that trained it again"):
            directory.load_run(run / where)
        loop.train(tiny.teacher_config() if where else tiny.config(), run / where)
        assert read_json(run / where / "config.json") == whole
        directory.load_run(run / where)

    def test_a_teacher_s_damaged_config_is_held_to_the_teacher_s_own(self, tmp_path):
        """Also before the student has a config there itself."""
        shutil.copytree(tiny.trained().path / "teacher", tmp_path / "teacher")
        (tmp_path / "teacher/config.json").write_text('{"epochs": ')
        claim.check_directory(tiny.config(), tmp_path, overwrite=False)
        with pytest.raises(InputError, match=r"teacher/config\.json: cannot be read") as caught:
            claim.check_directory(tiny.config(teacher__epochs=1), tmp_path, overwrite=False)
        assert "\n" not in str(caught.value)
        claim.restore_config(tiny.teacher_config(), tmp_path / "teacher")
        directory.load_run(tmp_path / "teacher")

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize("name", ["thesis.tex", "config.json", "teacher/marks.csv"])
    def test_a_folder_of_strangers_is_refused_and_kept(self, tmp_path, name, overwrite):
        stranger = tmp_path / name
        stranger.parent.mkdir(exist_ok=True)
        stranger.write_text("{}")
        with pytest.raises(InputError, match=f"holds {Path(name).parts[0]} but no run"):
            loop.train(tiny.config(), tmp_path, overwrite)
        assert stranger.read_text() == "{}"

    def test_a_folder_that_cannot_be_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="not a folder"):
            loop.train(tiny.config(), tmp_path / "file")
        with pytest.raises(InputError, match="cannot be written"):
            loop.train(tiny.config(), tmp_path / "file" / "run")
