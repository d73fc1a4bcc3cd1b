/* The model slot: updates under running inference, and everything that may be wrong with one. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/slot.h"
#include "tiny_model.h"

static struct nn_model *model, *small; /* one file at two sizes */
static int size_now;                   /* of the next picture: they take turns */
static struct slot *slot;
static struct error err;

static enum status open_slot(void)
{
    const struct nn_model *const models[] = {model, small};
    return slot_open(models, 2, 1, &slot, &err);
}

static int open_all(void **state)
{
    (void)state;
    model = tiny_model_open(8, 8);
    small = tiny_model_open_at(8, 8, 4, 6);
    return model && small && open_slot() == ST_OK ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    slot_close(&slot);
    nn_model_close(&model);
    nn_model_close(&small);
    return 0;
}

static void fill_with_ones(const struct nn_view *in)
{
    for (int64_t c = 0; c < 3; c++)
        for (int64_t y = 0; y < in->dim[2]; y++)
            for (int64_t x = 0; x < in->dim[3]; x++)
                in->data[c * in->stride[1] + y * in->stride[2] + x * in->stride[3]] = 1;
}

static bool answer_is(const struct nn_view *out, double want)
{
    for (int64_t c = 0; c < 3; c++)
        for (int64_t y = 0; y < out->dim[2]; y++)
            for (int64_t x = 0; x < out->dim[3]; x++) {
                int64_t at = c * out->stride[1] + y * out->stride[2] + x * out->stride[3];
                if (fabs(out->data[at] - want) > 1e-5 * want)
                    return false;
            }
    return true;
}

/* Infers a picture of ones; true when the answer is exactly that of the version it names. */
static bool infer_matches(struct slot *s, uint64_t *ret_version)
{
    int size = size_now++ % 2;
    struct nn_view in = nn_session_input(slot_session(s, size), 0), out;
    struct error e;
    if (in.dim[2] != (size ? 4 : 8) || in.dim[3] != (size ? 6 : 8))
        return false;
    fill_with_ones(&in);
    if (slot_forward(s, size, ret_version, &e) != ST_OK)
        return false;
    out = nn_session_output(slot_session(s, size), 0);
    return answer_is(&out, tiny_answer(tiny_value(*ret_version)));
}

static enum status offer(uint64_t base, uint64_t version, float value, int flip_byte)
{
    struct buf delta;
    buf_init(&delta);
    assert_true(tiny_delta(model, base, version, value, &delta));
    if (flip_byte >= 0)
        delta.data[(size_t)flip_byte % delta.size_bytes] ^= 0x10;
    bool offered = false;
    enum status st = slot_offer(slot, delta.data, delta.size_bytes, &offered, &err);
    if (st == ST_OK)
        assert_true(offered);
    buf_clear(&delta);
    return st;
}

/* At both sizes. */
static uint64_t infer(void)
{
    uint64_t version = 0, other = 0;
    assert_true(infer_matches(slot, &version));
    assert_true(infer_matches(slot, &other));
    assert_true(version == other);
    return version;
}

/* An update, a frame, and what became of it. */
static enum status apply(uint64_t base, uint64_t version, float value)
{
    enum status st = offer(base, version, value, -1);
    if (st != ST_OK)
        return st;
    struct error e;
    uint64_t ran;
    assert_int_equal(slot_settle(slot, &e), ST_AGAIN);
    assert_int_equal(slot_forward(slot, 0, &ran, &e), ST_OK);
    return slot_settle(slot, &err);
}

static void versions_follow_each_other(void **state)
{
    (void)state;
    uint64_t version;
    assert_int_equal(slot_forward(slot, 0, &version, &err), ST_OK);
    assert_int_equal(version, 0);
    assert_int_equal(slot_settle(slot, &err), ST_OK); /* nothing was offered */
    assert_int_equal(offer(0, 1, tiny_value(1), -1), ST_OK);
    assert_int_equal(slot_version(slot), 0); /* until a frame takes it */
    assert_int_equal(offer(1, 2, tiny_value(2), -1), ST_AGAIN);
    assert_int_equal(slot_offer_reset(slot, &err), ST_AGAIN);
    assert_int_equal(infer(), 1);
    assert_int_equal(slot_version(slot), 1);
    assert_int_equal(infer(), 1);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    assert_int_equal(apply(1, 2, tiny_value(2)), ST_OK);
    assert_int_equal(offer(2, 3, tiny_value(3), -1), ST_OK);
    assert_int_equal(infer(), 3);
    assert_int_equal(apply(3, 4, tiny_value(4)), ST_OK); /* without asking about the last one */
    assert_int_equal(infer(), 4);
}

static void bad_updates_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(apply(0, 1, tiny_value(1)), ST_OK);
    assert_int_equal(infer(), 1);
    for (int byte = 0; byte < 200; byte += 7) /* a flipped bit anywhere */
        assert_int_not_equal(offer(1, 2, tiny_value(2), byte), ST_OK);
    assert_int_equal(slot_offer(slot, "", 0, &(bool){0}, &err), ST_FORMAT);
    assert_int_equal(offer(7, 8, tiny_value(8), -1), ST_CONFLICT);
    assert_int_equal(slot_version(slot), 1);
    assert_int_equal(infer(), 1);
    /* Sixty thousand to the tenth power is no float: the frame runs on what was there. */
    uint32_t before = slot_params_crc32(slot);
    assert_int_equal(offer(1, 2, 60000, -1), ST_OK);
    assert_int_equal(infer(), 1);
    assert_int_equal(slot_settle(slot, &err), ST_INVALID);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    assert_int_equal(slot_params_crc32(slot), before);
    assert_int_equal(slot_version(slot), 1);
    assert_int_equal(infer(), 1);
    assert_int_equal(apply(1, 2, tiny_value(2)), ST_OK);
    assert_int_equal(infer(), 2);
}

static void snapshots_replace_and_resets_go_back(void **state)
{
    (void)state;
    assert_int_equal(apply(0, 1, tiny_value(1)), ST_OK);
    assert_int_equal(apply(1, 2, tiny_value(2)), ST_OK);
    assert_int_equal(apply(0, 9, tiny_value(9)), ST_OK); /* relative to the file */
    assert_int_equal(infer(), 9);
    uint32_t at_nine = slot_params_crc32(slot);
    assert_int_equal(slot_offer_reset(slot, &err), ST_OK);
    uint64_t version;
    assert_int_equal(slot_forward(slot, 0, &version, &err), ST_OK);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    assert_int_equal(slot_version(slot), 0);
    assert_int_not_equal(slot_params_crc32(slot), at_nine);
    assert_int_equal(apply(0, 9, tiny_value(9)), ST_OK);
    assert_int_equal(slot_params_crc32(slot), at_nine);
    assert_int_equal(infer(), 9);
}

#define OWN 0.001953125f /* 2^-9 */

static enum status offer_own(uint64_t version, float difference, bool *ret_offered)
{
    struct buf delta;
    buf_init(&delta);
    assert_true(tiny_personal(model, version, difference, &delta));
    enum status st = slot_offer_personal(slot, delta.data, delta.size_bytes, ret_offered, &err);
    buf_clear(&delta);
    return st;
}

/* Infers at both sizes: the version's parameters with this on top. */
static void runs(uint64_t version, float difference)
{
    for (int size = 0; size < 2; size++) {
        uint64_t ran;
        struct nn_view in = nn_session_input(slot_session(slot, size), 0), out;
        fill_with_ones(&in);
        assert_int_equal(slot_forward(slot, size, &ran, &err), ST_OK);
        out = nn_session_output(slot_session(slot, size), 0);
        assert_int_equal(ran, version);
        assert_true(answer_is(&out, tiny_answer(tiny_value(version) + difference)));
    }
}

/* A camera's own differences are on top of every version, and are no version. */
static void own_differences_stay(void **state)
{
    (void)state;
    bool offered = false;
    assert_int_equal(apply(0, 1, tiny_value(1)), ST_OK);
    uint32_t shared = slot_params_crc32(slot);
    assert_int_equal(offer_own(1, OWN, &offered), ST_OK);
    assert_true(offered && !slot_is_personal(slot)); /* until a frame takes it */
    runs(1, OWN);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    assert_true(slot_is_personal(slot));
    assert_int_equal(slot_params_crc32(slot), shared);
    assert_int_equal(apply(1, 2, tiny_value(2)), ST_OK);
    runs(2, OWN);
    assert_int_not_equal(slot_params_crc32(slot), shared);
    assert_int_equal(apply(0, 5, tiny_value(5)), ST_OK); /* a snapshot */
    runs(5, OWN);
    assert_int_equal(offer_own(3, 2 * OWN, &offered), ST_OK); /* others in their place */
    runs(5, 2 * OWN);
    assert_int_equal(slot_offer_personal(slot, NULL, 0, &offered, &err), ST_OK);
    assert_true(offered);
    runs(5, 0);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    assert_false(slot_is_personal(slot));
    assert_int_equal(slot_offer_personal(slot, NULL, 0, &offered, &err), ST_OK);
    assert_false(offered);
    assert_int_equal(apply(5, 6, tiny_value(6)), ST_OK);
    runs(6, 0);
}

static void bad_differences_change_nothing(void **state)
{
    (void)state;
    bool offered = false;
    struct buf delta;
    assert_int_equal(apply(0, 2, tiny_value(2)), ST_OK);
    assert_int_equal(offer_own(2, OWN, &offered), ST_OK);
    runs(2, OWN);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    buf_init(&delta);
    assert_true(tiny_personal(model, 2, 3 * OWN, &delta));
    for (size_t n = 1; n < delta.size_bytes; n++)
        assert_int_equal(slot_offer_personal(slot, delta.data, n, &offered, &err), ST_FORMAT);
    /* For a version that is not here yet, as a step, and a step as differences. */
    assert_int_equal(offer_own(3, OWN, &offered), ST_CONFLICT);
    assert_non_null(strstr(err.message, "for version 3 and later, version 2 is here"));
    assert_int_equal(slot_offer(slot, delta.data, delta.size_bytes, &offered, &err), ST_CONFLICT);
    delta.size_bytes = 0;
    assert_true(tiny_delta(model, 2, 3, tiny_value(3), &delta));
    assert_int_equal(slot_offer_personal(slot, delta.data, delta.size_bytes, &offered, &err),
                     ST_CONFLICT);
    runs(2, OWN);
    /* With these the answer is no number: the frame runs on what was there. */
    assert_int_equal(offer_own(2, 60000, &offered), ST_OK);
    runs(2, OWN);
    assert_int_equal(slot_settle(slot, &err), ST_INVALID);
    assert_true(slot_is_personal(slot));
    assert_int_equal(apply(2, 3, tiny_value(3)), ST_OK);
    runs(3, OWN);
    /* What is kept on disk, and what a reset brings, is without them. */
    assert_int_equal(slot_offer_reset(slot, &err), ST_OK);
    uint64_t ran;
    assert_int_equal(slot_forward(slot, 0, &ran, &err), ST_OK);
    assert_int_equal(slot_settle(slot, &err), ST_OK);
    assert_true(ran == 0 && !slot_is_personal(slot));
    buf_clear(&delta);
}

static void state_survives_and_torn_state_does_not(void **state)
{
    (void)state;
    char path[] = "/tmp/attune-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(apply(0, 6, tiny_value(6)), ST_OK);
    assert_int_equal(slot_save(slot, path, &err), ST_OK);
    uint32_t saved = slot_params_crc32(slot);
    slot_close(&slot);
    assert_int_equal(open_slot(), ST_OK);
    assert_int_equal(slot_load(slot, path, &err), ST_OK);
    assert_int_equal(slot_version(slot), 6);
    assert_int_equal(slot_params_crc32(slot), saved);
    assert_int_equal(infer(), 6);
    assert_int_equal(apply(6, 7, tiny_value(7)), ST_OK);

    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -9, SEEK_END), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, -9, SEEK_END), 0);
    fputc(byte ^ 1, f);
    fclose(f);
    assert_int_equal(slot_load(slot, path, &err), ST_FORMAT);
    assert_int_equal(truncate(path, 30), 0);
    assert_int_equal(slot_load(slot, path, &err), ST_FORMAT);
    unlink(path);
    assert_int_equal(slot_load(slot, path, &err), ST_NOT_FOUND);
    assert_int_equal(infer(), 7); /* none of that did any harm */
}

static void sizes_must_be_of_one_network(void **state)
{
    (void)state;
    struct nn_model *other = tiny_model_open(4, 4); /* another file */
    const struct nn_model *const models[] = {model, other};
    struct slot *none = NULL;
    assert_int_equal(slot_open(models, 2, 1, &none, &err), ST_CONFLICT);
    assert_null(none);
    nn_model_close(&other);
}

static atomic_bool reader_done;
static atomic_int reader_bad;
static _Atomic uint64_t reader_version;

static void *read_until_done(void *context)
{
    uint64_t last = 0;
    while (!atomic_load(&reader_done)) {
        uint64_t version;
        bool match = infer_matches(context, &version);
        if (version > 0 && (!match || version < last)) /* version 0 has the file's own values */
            atomic_fetch_add(&reader_bad, 1);
        last = version;
        atomic_store(&reader_version, version);
    }
    return NULL;
}

static void every_inference_sees_one_version(void **state)
{
    (void)state;
    enum { VERSIONS = 120 };
    atomic_store(&reader_done, false);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_until_done, slot), 0);
    for (uint64_t v = 1; v <= VERSIONS; v++) {
        assert_int_equal(offer(v - 1, v, tiny_value(v), -1), ST_OK);
        for (int i = 0; i < 50000 && slot_settle(slot, &err) == ST_AGAIN; i++)
            usleep(100);
        assert_int_equal(slot_version(slot), v);
    }
    for (int i = 0; i < 5000 && atomic_load(&reader_version) != VERSIONS; i++)
        usleep(1000);
    atomic_store(&reader_done, true);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&reader_bad), 0);
    assert_int_equal(atomic_load(&reader_version), VERSIONS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(versions_follow_each_other),
        TEST(bad_updates_change_nothing),
        TEST(snapshots_replace_and_resets_go_back),
        TEST(state_survives_and_torn_state_does_not),
        TEST(own_differences_stay),
        TEST(bad_differences_change_nothing),
        TEST(sizes_must_be_of_one_network),
        TEST(every_inference_sees_one_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
