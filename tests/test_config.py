from pathlib import Path

import pytest

from nen_imaging.config import Config, ConfigError, commented_yaml, load_config, schema_yaml
from nen_imaging.shipped import shipped


def test_shipped_files_say_what_the_code_says() -> None:
    assert (shipped("config") / "default.yaml").read_text("utf-8") == commented_yaml(), "run `make config`"
    assert (shipped("config") / "schema.yaml").read_text("utf-8") == schema_yaml(), "run `make config`"


def test_default_file_is_the_default_config() -> None:
    assert load_config(shipped("config") / "default.yaml") == Config()


def test_override_of_one_key_leaves_its_neighbours(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("measure: {cyst_below_hu: 10, minimum_voxels: 5}\n", "utf-8")
    config = load_config(file, {"measure": {"cyst_below_hu": 15}})
    assert (config.measure.cyst_below_hu, config.measure.minimum_voxels) == (15, 5)
    assert config.uptake == Config().uptake


def test_an_empty_section_holds_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("segment:\n  # model: other\nreport:\n", "utf-8")
    assert load_config(file) == Config()
    assert load_config(file, {"segment": {"model": "mine"}}).segment.model == "mine"


def test_keys_are_not_laid_over_what_is_no_section(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("segment: other\n", "utf-8")
    with pytest.raises(ConfigError, match=r"segment .* is 'other'"):
        load_config(file, {"segment": {"model": "mine"}})


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"uptke": {}}, r"uptke .* did you mean uptake\?"),
        ({"segment": {"modell": "x"}}, r"segment\.modell .* did you mean model\?"),
        ({"report": {"maximum_targets": 0}}, r"report\.maximum_targets .* is 0: .* greater than or equal to 1"),
        ({"uptake": {"threshold_rule": "half"}}, r"uptake\.threshold_rule .* 'half'"),
        ({"measure": 3}, r"measure .* is 3"),
        ({"measure": "fine"}, r"measure .* is 'fine'"),
    ],
)
def test_wrong_keys_and_values_are_refused_by_name(overrides: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(overrides=overrides)


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1\n", "\x00"])
def test_a_file_that_is_no_config_is_refused_with_its_path(tmp_path: Path, content: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load_config(file)


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")


def test_settings_of_unknown_source_are_not_said_to_stand_on_the_command_line() -> None:
    """Snakemake merges ``--configfile`` and ``--config`` before it hands them over."""
    with pytest.raises(ConfigError, match=r"segment\.modell \(from a config file or the command line\) is unknown"):
        load_config(overrides={"segment": {"modell": "x"}})
