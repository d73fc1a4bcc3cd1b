/* api_compute.c - the account: what there is to share, who was to have how much of it, and who used
 * how much; and the plan behind it. */
#include "base/clock.h"
#include "server/control.h"
#include "server/history.h"
#include "server/http.h"

static void add_entry(const struct ledger_entry *e, void *context)
{
    json_array_append_new(
        context, json_pack("{s:s,s:s,s:f,s:f,s:f,s:f,s:f}", "camera", e->camera, "kind",
                           ledger_kind_name(e->kind), "share", e->share, "planned_s",
                           e->planned_us / 1e6, "used_s", e->used_us / 1e6, "planned_total_s",
                           e->planned_total_us / 1e6, "used_total_s", e->used_total_us / 1e6));
}

void api_compute(struct request *r, struct reply *out)
{
    struct server *s = r->server;
    uint64_t window_us;
    json_t *account = json_array();
    ledger_read(s->ledger, clock_mono_us(), &window_us, add_entry, account);
    reply_json(out, 200,
               json_pack("{s:s,s:s,s:f,s:f,s:o,s:o}", "means",
                         share_means_name(limiter_means(s->limiter)), "reason",
                         limiter_reason(s->limiter), "capacity", limiter_capacity(s->limiter),
                         "window_s", (double)window_us / 1e6, "account", account, "workers",
                         control_workers_json(s->control)));
}

void api_compute_series(struct request *r, struct reply *out)
{
    uint64_t since_us, limit;
    if (request_number(r, "since_us", 0, 0, INT64_MAX, &since_us, out) &&
        request_number(r, "limit", HISTORY_SAMPLES_MAX, 1, HISTORY_SAMPLES_MAX, &limit, out))
        reply_json(out, 200, history_json(r->server->history, since_us, (int)limit));
}

void api_schedule(struct request *r, struct reply *out)
{
    json_t *plan = control_schedule_json(r->server->control);
    reply_json(out, 200,
               plan ? plan
                    : json_pack("{s:s,s:s,s:[],s:[]}", "policy",
                                dividing_policy(&r->server->dividing), "division",
                                dividing_by_name(r->server->dividing.by), "groups", "cameras"));
}
