"""The client kr8s: lists, watches, patches, executes a command in a pod, and runs an operator.

The arguments are the namespace and the name of a running pod in it. Every failure ends the program with an exception.
"""

import asyncio
import sys

import kr8s
from kr8s.asyncio.objects import ConfigMap, Pod

namespace, pod = sys.argv[1:]


def config_map(name, api):
    resource = {"metadata": {"name": name, "namespace": namespace, "labels": {"app": "kr8s"}}, "data": {"state": "one"}}
    return ConfigMap(resource, api=api)


async def run_operator(api):
    """Sets the annotation `seen` of each config map to the value of `data.state`."""
    async for kind, found in api.async_watch("configmaps", namespace=namespace, label_selector="app=kr8s"):
        if kind in ("ADDED", "MODIFIED") and found.annotations.get("seen") != found.data["state"]:
            await found.annotate(seen=found.data["state"])


async def wait_until_seen(found, state):
    for _ in range(300):
        await found.refresh()
        if found.annotations.get("seen") == state:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{found.name} has not been annotated with {state}")


async def main():
    api = await kr8s.asyncio.api(namespace=namespace)
    operator = asyncio.create_task(run_operator(api))
    one = config_map("kr8s-a", api)
    await one.create()
    await wait_until_seen(one, "one")
    await one.patch({"data": {"state": "two"}})
    await wait_until_seen(one, "two")
    await config_map("kr8s-b", api).create()
    found = [item.name async for item in api.get("configmaps", namespace=namespace, label_selector="app=kr8s")]
    assert sorted(found) == ["kr8s-a", "kr8s-b"], found
    running = await Pod.get(pod, namespace=namespace, api=api)
    result = await running.exec(["echo", "hello"])
    assert result.stdout.decode().strip() == "hello", result
    version = (await ConfigMap.get("kr8s-a", namespace=namespace, api=api)).metadata.resourceVersion
    await one.delete()
    deleted = api.async_watch(
        "configmaps", namespace=namespace, field_selector="metadata.name=kr8s-a", since=version
    )
    async for kind, found in deleted:
        assert (kind, found.name) == ("DELETED", "kr8s-a"), (kind, found)
        break
    assert not await one.exists()
    assert not operator.done(), operator.exception()
    operator.cancel()


asyncio.run(main())
