/* envelope.h - what goes around a message: the attributes of CloudEvents 1.0, so that a receiver
 * knows what happened, to whom and when without knowing attune. */
#ifndef ATTUNE_NOTIFY_ENVELOPE_H
#define ATTUNE_NOTIFY_ENVELOPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* "2026-11-22T04:10:04.123456Z": ret[32]. */
void envelope_time(uint64_t t_us, char ret[32]);

/* {"specversion", "id", "type": "io.attune.TYPE.v1", "source", "subject", "time",
 * "datacontenttype", "data"}. subject "": none. Takes data. id is unique together with source.
 * NULL: no memory. */
json_t *envelope_make(const char *type, const char *source, const char *id, const char *subject,
                      uint64_t t_us, json_t *data);

/* What happened by the words of GET /v1/events: the topic below the prefix that it belongs to
 * ("drift", "retrain", "model", "group", "camera") and its type ("drift.raised"); false: it is told
 * nobody (labelled, scheduled, ...). */
bool envelope_kind(const char *event, const char **ret_topic, const char **ret_type);

#endif
