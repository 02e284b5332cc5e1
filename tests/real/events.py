import json

from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat


def cloudevents(headers, body):
    """The events of a notification in the format `cloudevents` or `cloudevents-batch`."""
    if headers["content-type"] == "application/cloudevents-batch+json":
        # The SDK reads one event at a time.
        return [JSONFormat().read(None, json.dumps(event)) for event in json.loads(body)]
    return [from_http(HTTPMessage(headers, body), JSONFormat())]
