"""Tasks: the reference's messages on the wire, and the definition that a task becomes."""

from __future__ import annotations

import json

import pytest

from crawler.definition.tasks import task_of
from crawler.errors import InvalidInput
from crawler.master.tasks import check_id, definition_of
from crawler.rpc.pb import communicate_pb2 as pb

MESSAGES = {
    "ID": {"id": 1},
    "Task": {"id": 1, "name": 2, "target": 3, "type": 4, "state": 5, "results": 6},
    "TaskResult": {"code": 1},
    "Query": {"state": 1},
    "OptResult": {"succeed": 1},
    "OK": {"ok": 1},
    "HeartBeat": {"alive": 1, "who": 2},
    "Node": {"name": 1, "token": 2, "host": 3},
    "Election": {"secret": 1, "from": 2},
    "Secret": {"sec_code": 1},
}
METHODS = {
    "Tasks": ["GetTask", "ListTask", "CreateTask", "DelTask", "KillTask", "GetTaskResult"],
    "HeartBeats": ["IsAlive", "AskAlive"],
    "Elections": ["RequestElection", "VerifyNode", "UpdateSecret"],
}
STATES = ["WAITING", "INQUEUE", "RUNNING", "RUNTIME_ERROR", "SUCCEED", "KILLED"]


def test_names_and_numbers_are_the_references() -> None:
    file = pb.DESCRIPTOR
    assert file.package == "communicate"
    assert {
        name: {field.name: field.number for field in message.fields}
        for name, message in file.message_types_by_name.items()
    } == MESSAGES
    assert {
        name: [method.name for method in service.methods]
        for name, service in file.services_by_name.items()
    } == METHODS
    assert pb.Task.State.items() == [(name, number) for number, name in enumerate(STATES)]


def test_a_task_is_a_resource_of_one_page() -> None:
    task = pb.Task(id="t", name="front", target="https://shop.example/a", type="html")
    text = definition_of(task)
    read = json.loads(text)
    assert (read["start_urls"], read["store_body"]) == ([task.target], True)
    assert all("follow" not in rule and "next" not in rule for rule in read["rules"])
    found = task_of(text)
    assert found is not None
    assert (found[0].name, found[0].type, found[1]) == ("front", "html", task.target)
    assert definition_of(task) == text


@pytest.mark.parametrize(
    ("field", "task"),
    [
        ("name", pb.Task(target="https://shop.example/")),
        ("target", pb.Task(name="x")),
        ("target", pb.Task(name="x", target="shop.example")),
        ("name", pb.Task(name="x" * 201, target="https://shop.example/")),
        ("type", pb.Task(name="x", target="https://shop.example/", type="x" * 201)),
        ("state", pb.Task(name="x", target="https://shop.example/", state=pb.Task.RUNNING)),
    ],
)
def test_what_is_wrong_with_a_task_is_said(field: str, task: pb.Task) -> None:
    with pytest.raises(InvalidInput, match=field) as caught:
        definition_of(task)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "definition",
    [
        None,
        '{"start_urls":["https://shop.example/"]}',
        '{"start_urls":["https://shop.example/task"],"headers":{"x":"\\"task\\""}}',
        '{"task":{},"start_urls":[]}',
        '{"task":7,"start_urls":["https://shop.example/"]}',
        '{"task":{"name":7},"start_urls":["https://shop.example/"]}',
        '{"task"',
    ],
)
def test_other_resources_are_no_tasks(definition: str | None) -> None:
    assert task_of(definition) is None


def test_an_id_is_a_name_of_a_resource() -> None:
    assert check_id("0b54a1f0-3c1c-4b6e") == "0b54a1f0-3c1c-4b6e"
    with pytest.raises(InvalidInput) as caught:
        check_id("a/b")
    assert caught.value.field == "id"
