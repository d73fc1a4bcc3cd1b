/* api_events.c - the event table as a stream. The stream has no state but the last number that it
 * sent, so a reader that reconnects with Last-Event-ID misses nothing that is still kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "server/http.h"

#define FIRST_EVENTS 100
#define BATCH 50
#define PING_US ((uint64_t)15 * 1000000)

struct stream {
    struct server *server;
    struct request asked; /* a copy, of who asks */
    uint64_t after;
    struct buf pending;
    size_t sent_bytes; /* of pending */
};

static json_t *event_json(const struct store_event *e)
{
    json_t *o = json_loads(e->json, 0, NULL);
    if (!o)
        o = json_object();
    json_object_set_new(o, "id", json_integer((json_int_t)e->id));
    json_object_set_new(o, "t_us", json_integer((json_int_t)e->t_us));
    json_object_set_new(o, "camera", json_string(e->camera));
    json_object_set_new(o, "kind", json_string(e->kind));
    return o;
}

static void write_event(const struct store_event *e, void *context)
{
    struct stream *s = context;
    json_t *o = event_json(e);
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text)
        buf_printf(&s->pending, "id: %llu\nevent: %s\ndata: %s\n\n", (unsigned long long)e->id,
                   e->kind, text);
    s->after = e->id;
    free(text);
    json_decref(o);
}

/* Waits for events; a comment now and then shows a reader that has gone. False: end. */
static bool refill(struct stream *s)
{
    struct server *server = s->server;
    s->pending.size_bytes = s->sent_bytes = 0;
    uint64_t until_us = clock_mono_us() + PING_US;
    while (!bell_stopped(&server->bell)) {
        uint64_t seen = bell_count(&server->bell);
        if (!http_wait_holds(&s->asked) ||
            store_events(server->store, s->after, BATCH, write_event, s, NULL) != ST_OK)
            return false;
        if (s->pending.size_bytes > 0)
            return !s->pending.failed;
        if (clock_mono_us() >= until_us) {
            buf_printf(&s->pending, ": still here\n\n");
            return true;
        }
        bell_wait(&server->bell, seen, until_us);
    }
    return false;
}

static ssize_t on_read(void *context, uint64_t at, char *to, size_t max)
{
    (void)at;
    struct stream *s = context;
    if (s->sent_bytes == s->pending.size_bytes && !refill(s))
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = s->pending.size_bytes - s->sent_bytes;
    n = n < max ? n : max;
    memcpy(to, s->pending.data + s->sent_bytes, n);
    s->sent_bytes += n;
    return (ssize_t)n;
}

static void on_free(void *context)
{
    struct stream *s = context;
    http_wait_end(s->server);
    buf_clear(&s->pending);
    free(s);
}

static void reply_stream(struct request *r, uint64_t after, struct reply *out)
{
    if (!http_wait_begin(r, out))
        return;
    struct stream *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct stream){.server = r->server, .after = after};
        s->asked = (struct request){.server = r->server, .caller = r->caller};
        /* The first bytes show at once that the stream is open. */
        buf_printf(&s->pending, "retry: 2000\n\n");
        out->response =
            MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 8192, on_read, s, on_free);
    }
    if (!out->response) {
        if (s)
            on_free(s);
        else
            http_wait_end(r->server);
        reply_error(out, 500, "no memory for the stream");
        return;
    }
    out->status = 200;
    out->type = "text/event-stream";
    reply_header(out, "Cache-Control", "no-store");
}

static void add_event(const struct store_event *e, void *context)
{
    json_array_append_new(context, event_json(e));
}

static void reply_rows(enum status st, const struct error *err, json_t *list, struct reply *out)
{
    if (st == ST_OK)
        reply_json(out, 200, json_pack("{s:O}", "events", list));
    else
        reply_status(out, st, err);
    json_decref(list);
}

static void reply_list(struct request *r, uint64_t after, uint64_t limit, struct reply *out)
{
    struct error err = {0};
    json_t *list = json_array();
    enum status st = store_events(r->server->store, after, (int)limit, add_event, list, &err);
    reply_rows(st, &err, list, out);
}

/* Newest first. */
static void reply_newest(struct request *r, uint64_t limit, struct reply *out)
{
    struct error err = {0};
    uint64_t before;
    if (!request_number(r, "before", 0, 0, INT64_MAX, &before, out))
        return;
    json_t *list = json_array();
    enum status st = store_events_before(r->server->store, before, (int)limit,
                                         request_query(r, "without"), add_event, list, &err);
    reply_rows(st, &err, list, out);
}

void api_events(struct request *r, struct reply *out)
{
    uint64_t last = store_event_last(r->server->store), after, limit;
    uint64_t standard = last > FIRST_EVENTS ? last - FIRST_EVENTS : 0;
    if (!request_number(r, "after", standard, 0, INT64_MAX, &after, out) ||
        !request_number(r, "limit", FIRST_EVENTS, 1, 1000, &limit, out))
        return;
    const char *resume =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Last-Event-ID");
    if (resume && !http_parse_number(resume, INT64_MAX, &after)) {
        reply_error(out, 400, "Last-Event-ID is a whole number");
        return;
    }
    const char *format = request_query(r, "format");
    bool json = format && strcmp(format, "json") == 0;
    if (json && request_query(r, "before"))
        reply_newest(r, limit, out);
    else if (json)
        reply_list(r, after, limit, out);
    else
        reply_stream(r, after, out);
}
