/* two_networks.h - a small student and a larger teacher of random weights, in a temporary folder.
 */
#ifndef ATTUNE_TESTS_EVAL_TWO_NETWORKS_H
#define ATTUNE_TESTS_EVAL_TWO_NETWORKS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "nn/build.h"

static char folder[] = "/tmp/attune-eval-XXXXXX";
static char student_path[64], teacher_path[64];

/* Two convolutions and a resize; random weights are a teacher as good as any. */
static void write_network(const char *path, int channels, uint64_t seed)
{
    struct nn_build *b = NULL;
    struct error err = {0};
    assert_int_equal(nn_build_open(64, 80, seed, &b, &err), ST_OK);
    nn_value x = nn_build_relu(
        b,
        nn_build_batch_norm(b, nn_build_conv(b, nn_build_input(b), channels, 3, 2, 1, 1, false)));
    x = nn_build_resize(b, nn_build_conv(b, x, 4, 1, 1, 1, 1, true), 64, 80);
    nn_build_metadata(b, "attune.task", "segment");
    nn_build_metadata(b, "attune.classes", "a,b,c,d");
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(nn_build_finish(b, x, &bytes, &err), ST_OK);
    assert_int_equal(file_write(path, bytes.data, bytes.size_bytes, &err), ST_OK);
    buf_clear(&bytes);
    nn_build_close(&b);
}

static int make_networks(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(student_path, sizeof student_path, "%s/student.onnx", folder);
    snprintf(teacher_path, sizeof teacher_path, "%s/teacher.onnx", folder);
    write_network(student_path, 6, 1);
    write_network(teacher_path, 12, 2);
    return 0;
}

static int drop_networks(void **state)
{
    (void)state;
    unlink(student_path);
    unlink(teacher_path);
    return rmdir(folder);
}

#endif
