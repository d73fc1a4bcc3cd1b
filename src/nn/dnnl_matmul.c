#include "nn/dnnl_matmul.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR != 2
#error "dnnl_matmul.c is written for oneDNN 2.x, as dnnl.c is"
#endif

/* This byte all over is 0.0115 in float32 and in bfloat16. */
#define FILL_BYTE 0x3c

struct nn_matmul {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t argument[3];
};

static dnnl_status_t engine_make(struct nn_matmul *m)
{
    dnnl_status_t code = dnnl_engine_create(&m->engine, dnnl_cpu, 0);
    return code ? code : dnnl_stream_create(&m->stream, m->engine, dnnl_stream_default_flags);
}

/* The second factor in the layout that the primitive likes best, as weights are. */
static dnnl_status_t primitive_make(struct nn_matmul *m, int64_t size, bool bfloat16)
{
    dnnl_dims_t dims = {size, size};
    dnnl_data_type_t type = bfloat16 ? dnnl_bf16 : dnnl_f32;
    dnnl_memory_desc_t plain, any;
    dnnl_matmul_desc_t desc;
    dnnl_status_t code = dnnl_memory_desc_init_by_tag(&plain, 2, dims, type, dnnl_ab);
    if (!code)
        code = dnnl_memory_desc_init_by_tag(&any, 2, dims, type, dnnl_format_tag_any);
    if (!code)
        code = dnnl_matmul_desc_init(&desc, &plain, &any, NULL, &plain);
    if (!code)
        code = dnnl_primitive_desc_create(&m->desc, &desc, NULL, m->engine, NULL);
    return code ? code : dnnl_primitive_create(&m->primitive, m->desc);
}

static dnnl_status_t argument_make(struct nn_matmul *m, int i, int argument, dnnl_query_t what)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(m->desc, what, 0);
    dnnl_memory_t memory = NULL;
    void *data = NULL;
    dnnl_status_t code = dnnl_memory_create(&memory, md, m->engine, DNNL_MEMORY_ALLOCATE);
    m->argument[i] = (dnnl_exec_arg_t){argument, memory};
    if (!code)
        code = dnnl_memory_get_data_handle(memory, &data);
    if (!code && data)
        memset(data, FILL_BYTE, dnnl_memory_desc_get_size(md));
    return code;
}

static enum status refused(struct error *err, dnnl_status_t code)
{
    enum status st = code == dnnl_unimplemented   ? ST_UNSUPPORTED
                     : code == dnnl_out_of_memory ? ST_NOMEM
                                                  : ST_INTERNAL;
    return error_set(err, st, "oneDNN has no such matrix product here (status %d)", (int)code);
}

enum status nn_matmul_open(int64_t size, bool bfloat16, struct nn_matmul **ret, struct error *err)
{
    struct nn_matmul *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(err, ST_NOMEM, "no memory for a matrix product");
    dnnl_status_t code = engine_make(m);
    if (!code)
        code = primitive_make(m, size, bfloat16);
    if (!code)
        code = argument_make(m, 0, DNNL_ARG_SRC, dnnl_query_src_md);
    if (!code)
        code = argument_make(m, 1, DNNL_ARG_WEIGHTS, dnnl_query_weights_md);
    if (!code)
        code = argument_make(m, 2, DNNL_ARG_DST, dnnl_query_dst_md);
    if (code) {
        nn_matmul_close(&m);
        return refused(err, code);
    }
    *ret = m;
    return ST_OK;
}

void nn_matmul_close(struct nn_matmul **m)
{
    if (!m || !*m)
        return;
    for (int i = 0; i < 3; i++)
        if ((*m)->argument[i].memory)
            dnnl_memory_destroy((*m)->argument[i].memory);
    if ((*m)->primitive)
        dnnl_primitive_destroy((*m)->primitive);
    if ((*m)->desc)
        dnnl_primitive_desc_destroy((*m)->desc);
    if ((*m)->stream)
        dnnl_stream_destroy((*m)->stream);
    if ((*m)->engine)
        dnnl_engine_destroy((*m)->engine);
    free(*m);
    *m = NULL;
}

enum status nn_matmul_run(struct nn_matmul *m, struct error *err)
{
    dnnl_status_t code = dnnl_primitive_execute(m->primitive, m->stream, 3, m->argument);
    if (!code)
        code = dnnl_stream_wait(m->stream);
    return code ? refused(err, code) : ST_OK;
}

const char *nn_dnnl_version(char text[32])
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, 32, "%d.%d.%d", v->major, v->minor, v->patch);
    return text;
}
