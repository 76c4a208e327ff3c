"""Configuration and workspaces that cannot be used: exit code 2 or 3, one line that names file, key and value, and nothing is done."""

import shutil

import pytest

from tests.kit import ANNA, World

SOUND = "partners: {B: {permissions: [{purpose: insurance, benefits: ['FK:SJP']}]}}"

CLUSTER = "{endpoint: 'x:1', page: 'x:2', master: 'x:3', workers: 'x:4', parallelism: 1, at_once: 2}"
ENGINES = f"{{embedded: {{at_once: 1}}, prism: {{at_once: 1, binary: prism}}, flink: {CLUSTER}, spark: {CLUSTER}}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partners: {B: {colour: red, permissions: [{purpose: p, benefits: []}]}}", "partners.yaml: partners.B.colour: unknown key"),
        (
            "partners: {B: {permissions: [{purpose: p, benefits: ['FK:XYZ']}]}}",
            "partners.B.permissions: benefit 'FK:XYZ' is not in conf/benefits.yaml",
        ),
        ("partners: {B: {name: B}}", "partners.yaml: partners.B.permissions: is missing"),
        ("partners: {B: {permissions: }}", "partners.yaml: partners.B.permissions: should be a list"),
        (
            SOUND.replace("permissions", "refresh_persons_per_night: true, permissions"),
            "refresh_persons_per_night: Input should be a valid integer",
        ),
        ("partners: {B: {permissions: [{benefits: []}]}}", "partners.yaml: partners.B.permissions.0.purpose: is missing"),
        (
            "partners: {B: {permissions: [{purpose: p, benefits: 'FK:SJP'}]}}",
            "partners.yaml: partners.B.permissions.0.benefits: should be a list",
        ),
        ("partners: {../B: {permissions: [{purpose: p, benefits: []}]}}", "partner '../B': the name becomes a folder"),
        (
            SOUND.replace("permissions", "refresh_persons_per_night: 0, permissions"),
            "partners.B.refresh_persons_per_night: Input should be greater than or equal to 1, not 0",
        ),
        (
            SOUND.replace("permissions", "refresh_persons_per_night: 100000000000000000000, permissions"),
            "partners.B.refresh_persons_per_night: Input should be less than 9223372036854775808",
        ),
        ("partners: {B: {}", "conf/partners.yaml is not YAML: "),
        ("partners: {}\npartners: {}", "conf/partners.yaml is not YAML: 'partners' stands there twice, line 2"),
        ("- partners", "conf/partners.yaml: the whole file: "),
        ("", "conf/partners.yaml: partners: is missing"),
        (b"partners: {B\xff: {}}", "conf/partners.yaml is not UTF-8 (byte 12)"),
        ("partners: !!python/object:os.system {}", "conf/partners.yaml is not YAML: "),
    ],
)
def test_wrong_partners_are_refused_by_key_and_value(world: World, text: str | bytes, message: str) -> None:
    world.write("conf/partners.yaml", text)
    ran = world.night("2024-05-21", code=2)
    assert message in ran.err
    assert ran.err.startswith("lefi: ")
    assert len(ran.err.splitlines()) == 1
    assert not (world.root / "staging").exists() or not list((world.root / "staging").iterdir())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "closures",
            "closures: [{benefits: ['FK:SJP'], from: 2024-05-20, until: 2024-05-18}]",
            "closures.0: until 2024-05-18 is before from 2024-05-20",
        ),
        ("closures", "closures: [{benefits: ['FK:SJP'], from: 2024-05-20}]", "closures.yaml: closures.0.until: is missing"),
        ("closures", "closures: [{benefits: ['FK:XYZ'], from: 2024-05-20, until: 2024-05-20}]", "closures: 'FK:XYZ' is neither a benefit"),
        (
            "closures",
            "closures: [{benefits: ['FK:SJP'], from: 2024-02-30, until: 2024-03-01}]",
            "closures.yaml cannot be read: day is out of range",
        ),
        ("closures", "[" * 3000, "closures.yaml cannot be read: "),
        (
            "benefits",
            "benefits: {PERSONS: {name: register, unit: EVENT}}",
            "benefits.PERSONS: the register's own name cannot be a benefit's",
        ),
        ("closures", "off: [FK:XYZ]", "off: 'FK:XYZ' is neither a benefit of conf/benefits.yaml"),
        (
            "benefits",
            "benefits: {'FK:SJP': {name: sjukpenning, unit: FORTNIGHT}}",
            "benefits.yaml: benefits.FK:SJP.unit: Input should be 'CALENDAR_DAY'",
        ),
        ("engines", "embedded: {at_once: 0}", "engines.yaml: embedded.at_once: Input should be greater than or equal to 1, not 0"),
        ("engines", "embedded: {at_once: 1, threads: 2}", "engines.yaml: embedded.threads: unknown key"),
        ("engines", "embedded: {at_once: 1}", "engines.yaml: prism: is missing"),
        ("engines", ENGINES.replace("'x:4'", "nowhere"), "engines.yaml: flink: "),
        ("engines", ENGINES.replace("'x:1'", "nowhere"), "engines.yaml: flink.endpoint: String should match pattern"),
        (
            "engines",
            ENGINES.replace("at_once: 2", "at_once: 2, environment: LOOPBACK"),
            "engines.yaml: flink.environment: Input should be 'EXTERNAL'",
        ),
    ],
)
def test_other_conf_that_is_wrong_is_refused_too(world: World, name: str, text: str, message: str) -> None:
    world.write(f"conf/{name}.yaml", text)
    assert message in world.night("2024-05-21", code=2).err


def test_an_engine_that_is_not_there_is_named_with_its_address_and_nothing_is_done(world: World) -> None:
    closed = CLUSTER.replace("x:1", "localhost:1")
    world.write("conf/partners.yaml", SOUND)
    world.write("conf/engines.yaml", ENGINES.replace(CLUSTER, closed).replace("binary: prism", "binary: no-such-program"))
    ran = world.night("2024-05-21", 1, (), "--runner", "flink")
    assert (
        "lefi: --runner flink: Beam's job server does not answer at localhost:1 (conf/engines.yaml): `lefi engines status flink`" in ran.err
    )
    assert "--runner prism: there is no program 'no-such-program'" in world.night("2024-05-21", 2, (), "--runner", "prism").err
    assert world.lefi("status", "--json").json["last_night"] is None
    world.night("2024-05-21")


def test_a_workspace_without_partners_says_what_to_write(world: World) -> None:
    (world.root / "conf" / "partners.yaml").unlink()
    assert "conf/partners.yaml is missing" in world.night("2024-05-21", code=2).err


def test_a_link_that_leads_nowhere_is_no_file_that_was_never_written(world: World) -> None:
    world.write("conf/partners.yaml", SOUND)
    (world.root / "conf" / "closures.yaml").symlink_to(world.root / "managed" / "closures.yaml")
    assert "conf/closures.yaml is a link that leads nowhere" in world.night("2024-05-21", code=2).err


def test_a_workspace_that_is_there_stays_as_it_is(world: World) -> None:
    assert world.lefi("init", "--json").json["buckets"] == world.buckets == 4


def test_a_budget_of_no_memory_is_too_small(world: World) -> None:
    assert "--memory 0MiB: at least" in world.night("2024-05-21", 2, (), "--memory", "0").err


def test_conf_that_was_mended_is_taken_the_same_night(world: World) -> None:
    world.write("conf/partners.yaml", "partners: {B: {}}")
    world.night("2024-05-21", code=2)
    world.write("conf/partners.yaml", SOUND)
    world.night("2024-05-21")
    assert world.manifest("B")["business_date"] == "2024-05-21"


@pytest.mark.parametrize("command", [("nightly", "--business-date", "2024-05-21"), ("status",)])
def test_a_folder_that_is_no_workspace_is_refused_with_the_way_to_make_one(world: World, command: tuple[str, ...]) -> None:
    (world.root / "store" / "catalog.json").unlink()
    assert "make one with `lefi init " in world.lefi(*command, code=2).err


def test_nothing_is_made_where_there_is_no_workspace(world: World) -> None:
    shutil.rmtree(world.root)
    world.lefi("nightly", "--business-date", "2024-05-21", code=2)
    assert not world.root.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}'])
def test_a_damaged_catalog_is_named(world: World, text: str) -> None:
    (world.root / "store" / "catalog.json").write_text(text)
    assert "store/catalog.json is damaged" in world.lefi("status", code=1).err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nightly", "--business-date", "2024-5-21"), 2, "'2024-5-21' is not a date written YYYY-MM-DD"),
        (("nightly", "--business-date", "2024-02-30"), 2, "'2024-02-30' is not a date written YYYY-MM-DD"),
        (("nightly", "--business-date", "20240521"), 2, "'20240521' is not a date written YYYY-MM-DD"),
        (("nightly", "--business-date", "2024-W21-2"), 2, "'2024-W21-2' is not a date written YYYY-MM-DD"),
        (("nightly",), 2, "Missing option '--business-date'"),
        (("nightly", "--business-date", "2024-05-21", "--runner", "abacus"), 2, "--runner abacus: there is embedded, prism, flink, spark"),
        (("nightly", "--business-date", "2024-05-21", "--fast"), 2, "No such option: --fast"),
        (("init", "--buckets", "3"), 2, "--buckets 3: a power of two from 1 to 65536 is needed"),
        (("init", "--buckets", "many"), 2, "--buckets': Input should be a valid integer"),
        (
            ("generate", "--persons", "1", "--nights", "1", "--seed", "1", "--start", "9999-12-31"),
            2,
            "--start 9999-12-31: a date of the years 1900 to 2900",
        ),
        (("init", "--buckets", "8"), 3, "is a workspace with 4 buckets already"),
        (("retract", "--source-run", "r"), 2, "Missing option '--reason'"),
        (("refresh", "--partner", "NOBODY"), 3, "--partner NOBODY: not in conf/partners.yaml"),
        (("refresh", "--partner", "B"), 3, "nothing to refresh: B has no active subscription that matches"),
        (("refresh", "--partner", "B", "--benefit", "FK:XYZ"), 3, "--benefit FK:XYZ: not in conf/benefits.yaml"),
        (("refresh", "--partner", "B", "--person", ANNA[:-1]), 2, "--person: not a personnummer (R10)"),
        (
            ("refresh", "--partner", "B", "--born-from", "2001-01-01", "--born-to", "2000-01-01"),
            2,
            "--born-from 2001-01-01 is after --born-to 2000",
        ),
        (("retract", "--source-run", "FK:SJP/2024-05-21", "--reason", ""), 2, "--reason is empty: it is kept, and partners read it"),
        (("accept", "no-such-drop", "--reason", "r"), 3, "inbox has no drop 'no-such-drop'"),
        (("accept", "../inbox", "--reason", "r"), 3, "inbox has no drop '../inbox'"),
        (("release", "Q1-2-3", "--reason", "r"), 3, "quarantine has no record 'Q1-2-3'"),
        (("release", "seventeen", "--reason", "r"), 3, "quarantine has no record 'seventeen'"),
        (("release", "Q99999999999999-1-1", "--reason", "r"), 3, "quarantine has no record 'Q99999999999999-1-1'"),
        (("release", "Q32768-1-1", "--reason", "r"), 3, "quarantine has no record 'Q32768-1-1'"),
    ],
)
def test_wrong_arguments_are_refused_with_code_and_text(world: World, arguments: tuple[str, ...], code: int, message: str) -> None:
    world.write("conf/partners.yaml", SOUND)
    ran = world.lefi(*arguments, code=code)
    assert message in ran.err
    assert world.outbox() == {}


def test_a_personnummer_in_the_wrong_place_is_not_repeated(world: World) -> None:
    world.registered.add(ANNA)
    world.lefi("nightly", "--business-date", ANNA, code=2)
    world.lefi("init", "--buckets", f"{ANNA[:8]}-{ANNA[8:]}", code=2)
    world.lefi("refresh", "--partner", "B", ANNA, code=2)
