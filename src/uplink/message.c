/* message.c - jansson's objects to and from plain structs. */
#include "uplink/message.h"

#include <math.h>
#include <string.h>

#include "drift/watch.h"

#define SHARE_MAX 1024.0
#define SCORE_MAX 1e6
#define SIGNATURE_VALUE_MAX 1e4
#define MEMBERS_MAX 1000000
#define SUM_S_MAX 1e12

/* ---- reading ---- */

/* A number of a JSON object, brought into [low, high]; `missing` when it is no number. */
static double number_in(const json_t *object, const char *key, double low, double high,
                        double missing)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_number(v))
        return missing;
    return fmin(fmax(json_number_value(v), low), high);
}

/* A number in [low, high]; NaN when it is none or lies outside. */
static double number_strict(const json_t *object, const char *key, double low, double high)
{
    double v = number_in(object, key, -INFINITY, INFINITY, NAN);
    return v >= low && v <= high ? v : NAN;
}

/* A count of a JSON object; false when it is not a non-negative integer. */
static bool count_in(const json_t *object, const char *key, uint64_t *ret)
{
    const json_t *v = json_object_get(object, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

/* Plain ASCII, so that no place cuts a character in two; "" when it is no text. */
static void text_in(const json_t *object, const char *key, char *ret, size_t size_bytes)
{
    const char *text = json_string_value(json_object_get(object, key));
    size_t n = 0;
    for (; text && text[n] && n + 1 < size_bytes; n++)
        ret[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    ret[n] = '\0';
}

/* Missing or 0: no limit. */
static double share_in(const json_t *object)
{
    double v = number_in(object, "share", 0, SHARE_MAX, 0);
    return v > 0 ? v : INFINITY;
}

/* ---- writing ---- */

static json_t *share_json(double share)
{
    return isinf(share) ? json_null() : json_real(share);
}

/* ---- settings ---- */

void transmission_wish_init(struct transmission_wish *w)
{
    *w = (struct transmission_wish){.members = 1, .weight = 1, .exponent = 1};
}

static json_t *transmission_json(const struct transmission_wish *w)
{
    const char *law = gaimd_law_name(w->law);
    return json_pack("{s:s,s:i,s:f,s:f,s:s,s:f,s:f,s:f}", "group", w->group, "members", w->members,
                     "group_share", w->group_share, "weight", w->weight, "law", law ? law : "none",
                     "exponent", w->exponent, "scale_min", w->scale_min, "scale_max", w->scale_max);
}

/* What is missing, or the whole of it from an older server, is as nobody had said anything. */
static void read_transmission(const json_t *object, struct transmission_wish *ret)
{
    const char *law = json_string_value(json_object_get(object, "law"));
    transmission_wish_init(ret);
    text_in(object, "group", ret->group, sizeof ret->group);
    ret->members = (int)number_in(object, "members", 1, MEMBERS_MAX, 1);
    ret->group_share = number_in(object, "group_share", 0, SHARE_MAX, 0);
    ret->weight = number_in(object, "weight", GAIMD_WEIGHT_MIN, GAIMD_WEIGHT_MAX, 1);
    ret->law = gaimd_law_parse(law);
    ret->exponent = number_in(object, "exponent", 0, 4, 1);
    ret->scale_min = number_in(object, "scale_min", 0, 1, 0);
    ret->scale_max = number_in(object, "scale_max", 0, 1, 0);
}

json_t *message_settings(const struct client_settings *s)
{
    return json_pack("{s:I,s:f,s:f,s:f,s:I,s:b,s:I,s:o,s:f,s:f,s:o}", "version",
                     (json_int_t)s->version, "sampling_fps", s->sampling_fps, "chunk_s", s->chunk_s,
                     "uplink_kbps", s->uplink_kbps, "next_seq", (json_int_t)s->next_seq, "adapt",
                     (int)s->adapt, "revision", (json_int_t)s->revision, "share",
                     share_json(s->share), "rate", s->infer.rate, "resolution", s->infer.scale,
                     "transmission", transmission_json(&s->send));
}

enum status message_read_settings(const void *text, size_t n, struct client_settings *ret,
                                  struct error *err)
{
    json_t *json = json_loadb(text, n, 0, NULL);
    struct client_settings s = {
        .sampling_fps = number_in(json, "sampling_fps", 0.01, 30, 0),
        .chunk_s = number_in(json, "chunk_s", 0.1, 600, 0),
        .uplink_kbps = number_in(json, "uplink_kbps", 1, 1e6, 0),
        .adapt = json_is_true(json_object_get(json, "adapt")),
        .share = share_in(json),
        .infer = {number_in(json, "rate", 0, 1, 0), number_in(json, "resolution", 0, 1, 0)},
    };
    read_transmission(json_object_get(json, "transmission"), &s.send);
    bool good = count_in(json, "version", &s.version) && count_in(json, "next_seq", &s.next_seq) &&
                s.sampling_fps > 0 && s.chunk_s > 0 && s.uplink_kbps > 0;
    (void)count_in(json, "revision", &s.revision);
    json_decref(json);
    if (!good)
        return error_set(err, ST_FORMAT,
                         "the server's settings are not attune's: version, next_seq, "
                         "sampling_fps, chunk_s and uplink_kbps are needed");
    *ret = s;
    return ST_OK;
}

/* ---- the report ---- */

static json_t *point_json(const struct inference_point *p)
{
    return json_pack("{s:f,s:f,s:f,s:f,s:I}", "rate", 1.0 / p->configuration.stride, "resolution",
                     p->configuration.scale, "demand", p->demand, "factor", p->factor, "samples",
                     (json_int_t)p->samples);
}

static json_t *signature_json(const struct signature *s)
{
    json_t *list = json_array();
    for (int i = 0; i < SIGNATURE_VALUES; i++)
        json_array_append_new(list, json_real((double)s->value[i]));
    return list;
}

static json_t *drift_json(const struct drift_request *d)
{
    if (d->kind == DRIFT_NONE)
        return json_null();
    return json_pack("{s:s,s:I,s:I,s:f,s:s,s:o}", "kind", drift_kind_name(d->kind), "t_us",
                     (json_int_t)d->t_us, "since_us", (json_int_t)d->since_us, "score", d->score,
                     "text", d->text, "signature",
                     d->has_signature ? signature_json(&d->signature) : json_null());
}

static json_t *durations_json(const struct durations *d)
{
    json_t *counts = json_array();
    for (int i = 0; i < DURATIONS_BUCKETS; i++)
        json_array_append_new(counts, json_integer((json_int_t)d->counts[i]));
    return json_pack("{s:o,s:f}", "counts", counts, "sum_s", d->sum_s);
}

static json_t *timing_json(const struct inference_timing *t)
{
    return json_pack("{s:o,s:o}", "run", durations_json(&t->run), "age", durations_json(&t->age));
}

json_t *message_report(const struct inference_report *r)
{
    json_t *points = json_array();
    for (int i = 0; i < r->table.count; i++)
        json_array_append_new(points, point_json(&r->table.points[i]));
    return json_pack(
        "{s:f,s:f,s:o,s:f,s:f,s:I,s:I,s:I,s:s,s:I,s:b,s:s,s:o,s:o,s:o}", "rate",
        1.0 / r->running.stride, "resolution", r->running.scale, "share", share_json(r->share),
        "demand", r->demand, "factor", r->factor, "frames", (json_int_t)r->frames, "held",
        (json_int_t)r->held, "skipped", (json_int_t)r->skipped, "source", r->source, "reconnects",
        (json_int_t)r->reconnects, "uploads", (int)!r->no_upload, "note", r->note, "points", points,
        "timing", timing_json(&r->timing), "drift", drift_json(&r->drift));
}

static bool read_configuration(const json_t *object, struct inference_configuration *ret)
{
    double rate = number_strict(object, "rate", 1.0 / INFERENCE_STRIDE_MAX, 1);
    double scale = number_strict(object, "resolution", 0.01, 1);
    if (isnan(rate) || isnan(scale))
        return false;
    *ret = (struct inference_configuration){(int)lround(1 / rate), scale};
    return true;
}

static bool read_point(const json_t *object, struct inference_point *ret)
{
    *ret = (struct inference_point){.demand = number_strict(object, "demand", 0, SHARE_MAX),
                                    .factor = number_strict(object, "factor", 0, 1)};
    return read_configuration(object, &ret->configuration) && !isnan(ret->demand) &&
           !isnan(ret->factor) && count_in(object, "samples", &ret->samples);
}

static bool read_points(const json_t *list, struct inference_table *ret)
{
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count > INFERENCE_POINTS_MAX)
        return false;
    ret->count = (int)count;
    for (size_t i = 0; i < count; i++)
        if (!read_point(json_array_get(list, i), &ret->points[i]))
            return false;
    return true;
}

static bool read_durations(const json_t *object, struct durations *ret)
{
    const json_t *counts = json_object_get(object, "counts"), *v;
    size_t i;
    ret->sum_s = number_strict(object, "sum_s", 0, SUM_S_MAX);
    if (json_array_size(counts) != DURATIONS_BUCKETS || isnan(ret->sum_s))
        return false;
    json_array_foreach(counts, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 ||
            (uint64_t)json_integer_value(v) > DURATIONS_COUNT_MAX)
            return false;
        ret->counts[i] = (uint64_t)json_integer_value(v);
    }
    return true;
}

/* Missing: an older camera. */
static bool read_timing(const json_t *object, struct inference_timing *ret)
{
    return !object || (read_durations(json_object_get(object, "run"), &ret->run) &&
                       read_durations(json_object_get(object, "age"), &ret->age));
}

/* Missing or null: none. */
static bool read_signature(const json_t *list, struct drift_request *ret)
{
    ret->has_signature = list && !json_is_null(list);
    if (!ret->has_signature)
        return true;
    if (json_array_size(list) != SIGNATURE_VALUES)
        return false;
    for (size_t i = 0; i < SIGNATURE_VALUES; i++) {
        const json_t *v = json_array_get(list, i);
        ret->signature.value[i] = (float)json_number_value(v);
        if (!json_is_number(v) || !(fabs(json_number_value(v)) <= SIGNATURE_VALUE_MAX))
            return false;
    }
    return true;
}

/* Missing or null: nothing is wrong. */
static bool read_drift(const json_t *o, struct drift_request *ret)
{
    *ret = (struct drift_request){.kind = DRIFT_NONE, .latitude_deg = NAN, .longitude_deg = NAN};
    if (!o || json_is_null(o))
        return true;
    ret->kind = drift_kind_parse(json_string_value(json_object_get(o, "kind")));
    ret->score = number_strict(o, "score", 0, SCORE_MAX);
    text_in(o, "text", ret->text, sizeof ret->text);
    return ret->kind != DRIFT_NONE && !isnan(ret->score) && count_in(o, "t_us", &ret->t_us) &&
           count_in(o, "since_us", &ret->since_us) &&
           read_signature(json_object_get(o, "signature"), ret);
}

enum status message_read_report(const void *text, size_t n, struct inference_report *ret,
                                struct error *err)
{
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    struct inference_report r = {.share = share_in(json),
                                 .demand = number_strict(json, "demand", 0, SHARE_MAX),
                                 .factor = number_strict(json, "factor", 0, 1)};
    bool good = !isnan(r.demand) && !isnan(r.factor) && read_configuration(json, &r.running) &&
                count_in(json, "frames", &r.frames) && count_in(json, "held", &r.held) &&
                count_in(json, "skipped", &r.skipped) &&
                read_points(json_object_get(json, "points"), &r.table) &&
                read_timing(json_object_get(json, "timing"), &r.timing) &&
                read_drift(json_object_get(json, "drift"), &r.drift) &&
                (!json_object_get(json, "reconnects") ||
                 count_in(json, "reconnects", &r.reconnects)); /* an older camera says nothing */
    text_in(json, "source", r.source, sizeof r.source);
    r.no_upload = json_is_false(json_object_get(json, "uploads"));
    text_in(json, "note", r.note, sizeof r.note);
    json_decref(json);
    if (!good)
        return error_set(err, ST_FORMAT,
                         "the report is not complete or has a number out of "
                         "range; see docs/api.md");
    *ret = r;
    return ST_OK;
}
