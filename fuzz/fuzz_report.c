/* What cameras and servers tell each other in JSON: any bytes give values in range or an error, and
 * what was read can be written and read again. */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "drift/signature.h"
#include "uplink/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_report(const struct inference_report *r)
{
    assert(r->running.stride >= 1 && r->running.stride <= INFERENCE_STRIDE_MAX);
    assert(r->table.count >= 0 && r->table.count <= INFERENCE_POINTS_MAX);
    assert(r->factor >= 0 && r->factor <= 1 && r->demand >= 0 && r->share > 0);
    for (int i = 0; i < r->table.count; i++) {
        const struct inference_point *p = &r->table.points[i];
        assert(p->configuration.stride >= 1 && p->configuration.scale > 0);
        assert(p->factor >= 0 && p->factor <= 1 && p->demand >= 0);
    }
    if (r->drift.kind != DRIFT_NONE)
        assert(r->drift.score >= 0 && strlen(r->drift.text) < sizeof r->drift.text);
    assert(!r->drift.has_signature || signature_is_valid(&r->drift.signature));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct inference_report r, again;
    struct client_settings s;
    if (message_read_report(data, n, &r, NULL) == ST_OK) {
        check_report(&r);
        json_t *json = message_report(&r);
        char *text = json_dumps(json, JSON_COMPACT);
        assert(text && message_read_report(text, strlen(text), &again, NULL) == ST_OK);
        check_report(&again);
        free(text);
        json_decref(json);
    }
    if (message_read_settings(data, n, &s, NULL) == ST_OK)
        assert(s.sampling_fps > 0 && s.chunk_s > 0 && s.uplink_kbps > 0 && s.share > 0);
    return 0;
}
