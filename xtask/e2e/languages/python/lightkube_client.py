"""The client lightkube: lists, watches, patches, applies, executes a command in a pod, and runs an operator.

The arguments are the namespace and the name of a running pod in it. Every failure ends the program with an exception.
"""

import os
import sys
import threading

from lightkube import ApiError, Client
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

namespace, pod = sys.argv[1:]
client = Client(namespace=namespace, field_manager="lightkube")


def config_map(name, state):
    return ConfigMap(metadata=ObjectMeta(name=name, labels={"app": "lightkube"}), data={"state": state})


def run_operator():
    """Sets the annotation `seen` of each config map to the value of `data.state`."""
    for kind, found in client.watch(ConfigMap, labels={"app": "lightkube"}):
        seen = (found.metadata.annotations or {}).get("seen")
        if kind in ("ADDED", "MODIFIED") and seen != found.data["state"]:
            patch = {"metadata": {"annotations": {"seen": found.data["state"]}}}
            client.patch(ConfigMap, found.metadata.name, patch, patch_type=PatchType.MERGE)


def wait_until_seen(name, state):
    for kind, found in client.watch(ConfigMap, fields={"metadata.name": name}, server_timeout=30):
        if (found.metadata.annotations or {}).get("seen") == state:
            return
    raise AssertionError(f"{name} has not been annotated with {state}")


client.create(config_map("light-a", "one"))
# The response to the creation was decoded before the thread starts: msgspec crashes if two threads decode their first object
# of a type at the same time.
threading.Thread(target=run_operator, daemon=True).start()
wait_until_seen("light-a", "one")
applied = ConfigMap(
    apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="light-a", labels={"app": "lightkube"}), data={"state": "two"}
)
client.apply(applied, force=True)
wait_until_seen("light-a", "two")
client.create(config_map("light-b", "one"))
names = sorted(item.metadata.name for item in client.list(ConfigMap, labels={"app": "lightkube"}, chunk_size=1))
assert names == ["light-a", "light-b"], names
try:
    client.get(ConfigMap, "missing")
    raise AssertionError("a missing config map was read")
except ApiError as error:
    assert error.status.code == 404, error
assert client.get(Pod, pod).status.phase == "Running"
result = client.exec(pod, command=["echo", "hello"], stdout=True, raise_on_error=True, timeout=30)
assert result.stdout.strip() == "hello", result
version = client.get(ConfigMap, "light-a").metadata.resourceVersion
for name in names:
    client.delete(ConfigMap, name)
for kind, found in client.watch(
    ConfigMap, fields={"metadata.name": "light-a"}, resource_version=version, server_timeout=30
):
    assert (kind, found.metadata.name) == ("DELETED", "light-a"), (kind, found)
    break
else:
    raise AssertionError("the watch has not reported the deletion")
assert not list(client.list(ConfigMap, labels={"app": "lightkube"}))
# End without a finalization of the interpreter, because the thread is still running.
os._exit(0)
