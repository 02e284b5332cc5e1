import { HTTP } from "cloudevents";

/** The events of a notification in the format `cloudevents` or `cloudevents-batch`. */
export function cloudevents(headers, body) {
  return [HTTP.toEvent({ headers, body: body.toString() })].flat();
}
