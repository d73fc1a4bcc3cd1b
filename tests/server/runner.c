#include "runner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t params_bytes(const struct runner *r)
{
    return nn_model_param_count(r->student) * sizeof(float);
}

/* What a camera at `have` is sent; *ret_base and the body. */
static void fetch(struct kit *k, const char *camera, uint64_t have, uint64_t *ret_base,
                  uint64_t *ret_version, struct answer *a)
{
    char path[128];
    unsigned long long base = 0, version = 0;
    snprintf(path, sizeof path, "/v1/cameras/%s/updates?have=%llu", camera,
             (unsigned long long)have);
    kit_ask(k, "GET", path, NULL, 0, a);
    assert_int_equal(a->status, 200);
    const char *at = strstr(a->headers, "Attune-Base: ");
    assert_true(at && sscanf(at, "Attune-Base: %llu", &base) == 1);
    at = strstr(a->headers, "Attune-Version: ");
    assert_true(at && sscanf(at, "Attune-Version: %llu", &version) == 1);
    *ret_base = base;
    *ret_version = version;
}

void runner_open(struct kit *k, struct runner *r, const char *camera)
{
    *r = (struct runner){.kit = k, .camera = camera};
    assert_int_equal(nn_model_open(k->options.settings.student, NULL, &r->student, NULL), ST_OK);
    assert_int_equal(delta_model_init(r->student, &r->model, NULL), ST_OK);
    r->params = malloc(params_bytes(r));
    assert_non_null(r->params);
    memcpy(r->params, nn_model_values(r->student), params_bytes(r));
}

void runner_close(struct runner *r)
{
    delta_model_clear(&r->model);
    nn_model_close(&r->student);
    free(r->params);
}

bool runner_update(struct runner *r, struct answer *a)
{
    struct error err;
    uint64_t base, version, before = r->version;
    bool applied;
    fetch(r->kit, r->camera, r->version, &base, &version, a);
    if (delta_apply(&r->model, a->body.data, a->body.size_bytes, &r->version, r->params, NULL,
                    &applied, &err) != ST_OK)
        fail_msg("%s from %d with the step from %d to %d: %s", r->camera, (int)before, (int)base,
                 (int)version, err.message);
    assert_true(applied && r->version == version && version > before);
    return base == 0;
}

void runner_expect_same(const struct runner *a, const struct runner *b)
{
    assert_int_equal(a->version, b->version);
    assert_memory_equal(a->params, b->params, params_bytes(a));
}
