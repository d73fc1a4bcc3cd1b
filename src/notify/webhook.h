/* webhook.h - one message to one receiver: POST with a body that is signed.
 *
 * Headers: Content-Type application/cloudevents+json, Attune-Event (the type), Attune-Delivery (the
 * id, the same for every try) and, with a secret,
 *   Attune-Signature: t=SECONDS,v1=HEX
 * HEX is HMAC-SHA256 with the secret over SECONDS, a full stop and the body: who checks it and the
 * time knows that the message is ours and not an old one.
 *
 * Owns:    nothing.
 * Threads: safe; waits at most WEBHOOK_TIMEOUT_S, or until *stop.
 * Errors:  ST_AGAIN: worth another try (no connection, 408, 429, 5xx); ST_DENIED: the receiver does
 *          not want it (other statuses, redirects among them: they are not followed). Messages name
 *          the receiver's host only: its path may be a secret.
 */
#ifndef ATTUNE_NOTIFY_WEBHOOK_H
#define ATTUNE_NOTIFY_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WEBHOOK_TIMEOUT_S 10
#define WEBHOOK_SECRET_BYTES_MAX 4096
#define WEBHOOK_SIGNATURE_CHARS_MAX 95
#define WEBHOOK_HOST_CHARS_MAX 127

struct webhook_message {
    const char *type, *id, *body; /* body: JSON */
    uint64_t now_s;               /* since 1970, for the signature */
};

/* http:// or https:// with a host; *ret_host (WEBHOOK_HOST_CHARS_MAX + 1) is what may be shown. */
bool webhook_url_is_valid(const char *url, char *ret_host);

/* Receivers and kinds of events (envelope.h) as settings name them, with spaces or commas between.
 * ST_INVALID names what is wrong, an URL by its place in the list only. */
#define WEBHOOKS_MAX 4
#define WEBHOOK_KINDS_MAX 32
#define WEBHOOK_LIST_BYTES_MAX 1024
#define WEBHOOK_SEPARATORS " ,\t\n"
enum status webhook_lists_check(const char *urls, const char *kinds, struct error *err);

/* The list with what may be shown of each: scheme and host, then three stars for what follows. */
void webhook_list_show(const char *urls, char *ret, size_t size_bytes);

/* "t=...,v1=...". */
void webhook_sign(const void *secret, size_t secret_bytes, uint64_t now_s, const char *body,
                  char ret[WEBHOOK_SIGNATURE_CHARS_MAX + 1]);

/* secret NULL: not signed. stop is called now and then; true ends the waiting. */
enum status webhook_post(const char *url, const void *secret, size_t secret_bytes,
                         const struct webhook_message *m, bool (*stop)(void *context),
                         void *context, struct error *err);

#endif
