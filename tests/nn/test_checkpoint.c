/* Checkpoints: what is written comes back; anything less than the whole, unchanged file of the same
 * model is refused and touches nothing. */
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "kernel_check.h"
#include "nn/build.h"
#include "nn/checkpoint.h"

struct fixture {
    char path[64];
    struct nn_model *model, *other;
    struct nn_optimizer *optimizer;
    float *params;
    size_t count;
};

static struct nn_model *tiny_model(uint64_t seed)
{
    struct nn_build *b = NULL;
    struct nn_model *m = NULL;
    struct error err;
    struct buf bytes;
    buf_init(&bytes);
    assert_int_equal(nn_build_open(4, 4, seed, &b, &err), ST_OK);
    nn_value x = nn_build_conv(b, nn_build_input(b), 2, 1, 1, 1, 1, true);
    x = nn_build_batch_norm(b, x);
    assert_int_equal(nn_build_finish(b, x, &bytes, &err), ST_OK);
    nn_build_close(&b);
    assert_int_equal(nn_model_read(bytes.data, bytes.size_bytes, NULL, &m, &err), ST_OK);
    buf_clear(&bytes);
    return m;
}

static int setup(void **state)
{
    static struct fixture f;
    struct error err;
    snprintf(f.path, sizeof(f.path), "/tmp/attune-checkpoint-%d", (int)getpid());
    f.model = tiny_model(1);
    f.other = tiny_model(2);
    f.count = nn_model_param_count(f.model);
    assert_int_equal(nn_optimizer_open(nn_model_trainable_count(f.model), NULL, &f.optimizer, &err),
                     ST_OK);
    f.params = malloc(f.count * sizeof(float));
    assert_non_null(f.params);
    for (size_t i = 0; i < f.count; i++)
        f.params[i] = (float)i / 3;
    nn_optimizer_step(f.optimizer, f.params, nn_model_values(f.model), NULL);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    nn_optimizer_close(&f->optimizer);
    nn_model_close(&f->model);
    nn_model_close(&f->other);
    free(f->params);
    return 0;
}

/* Bytes of an optimiser's state. */
static struct buf state_of(const struct nn_optimizer *o)
{
    struct buf b;
    buf_init(&b);
    nn_optimizer_save(o, &b);
    return b;
}

static void write_checkpoint(const struct fixture *f, bool with_optimizer)
{
    struct error err;
    assert_int_equal(nn_checkpoint_write(f->path, f->model, f->params,
                                         with_optimizer ? f->optimizer : NULL, 1234567890123, NULL,
                                         &err),
                     ST_OK);
}

/* Reads into fresh arrays; checks that a failure leaves them alone, success fills them. */
static enum status read_checkpoint(const struct fixture *f, const struct nn_model *m,
                                   bool with_optimizer, bool expect_state)
{
    struct nn_optimizer *o = NULL;
    struct error err;
    uint64_t step = 7;
    float params[64];
    assert_true(f->count <= 64);
    for (int i = 0; i < 64; i++)
        params[i] = -1;
    assert_int_equal(nn_optimizer_open(nn_model_trainable_count(m), NULL, &o, &err), ST_OK);
    struct buf fresh = state_of(o);
    enum status st =
        nn_checkpoint_read(f->path, m, params, with_optimizer ? o : NULL, NULL, &step, &err);
    struct buf now = state_of(o), saved = state_of(f->optimizer);
    if (st == ST_OK) {
        assert_memory_equal(params, f->params, f->count * sizeof(float));
        assert_true(step == 1234567890123);
        const struct buf *want = expect_state ? &saved : &fresh;
        assert_memory_equal(now.data, want->data, now.size_bytes);
    } else {
        assert_true(params[0] == -1 && params[f->count - 1] == -1 && step == 7);
        assert_memory_equal(now.data, fresh.data, now.size_bytes);
        assert_non_null(strstr(err.message, f->path));
    }
    buf_clear(&fresh);
    buf_clear(&now);
    buf_clear(&saved);
    nn_optimizer_close(&o);
    return st;
}

static void round_trip(void **state)
{
    const struct fixture *f = *state;
    write_checkpoint(f, true);
    assert_int_equal(read_checkpoint(f, f->model, true, true), ST_OK);
    assert_int_equal(read_checkpoint(f, f->model, false, false), ST_OK);
    write_checkpoint(f, false);
    assert_int_equal(read_checkpoint(f, f->model, true, false), ST_OK);
    assert_int_equal(read_checkpoint(f, f->model, false, false), ST_OK);
}

/* The lines of a run come back only to the same run; without asking they are passed over. */
static void the_state_of_another_run_is_refused(void **state)
{
    const struct fixture *f = *state;
    static const char run[] = "seed=1\nsteps=20\nbatch=8\n";
    struct error err = {0};
    uint64_t step = 0;
    float params[64];
    assert_int_equal(nn_checkpoint_write(f->path, f->model, f->params, f->optimizer, 5, run, &err),
                     ST_OK);
    assert_int_equal(nn_checkpoint_read(f->path, f->model, params, NULL, run, &step, &err), ST_OK);
    assert_true(step == 5);
    assert_memory_equal(params, f->params, f->count * sizeof(float));
    assert_int_equal(nn_checkpoint_read(f->path, f->model, params, NULL, NULL, &step, &err), ST_OK);
    static const char *const others[] = {"seed=1\nsteps=20\nbatch=4\n", "seed=1\nsteps=20\n",
                                         "seed=1\nsteps=20\nbatch=8\nmore=1\n", ""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(
            nn_checkpoint_read(f->path, f->model, params, NULL, others[i], &step, &err),
            ST_CONFLICT);
    nn_checkpoint_read(f->path, f->model, params, NULL, others[0], &step, &err);
    assert_non_null(strstr(err.message, "'batch=8', this run 'batch=4'"));
    write_checkpoint(f, true);
    assert_int_equal(nn_checkpoint_read(f->path, f->model, params, NULL, run, &step, &err),
                     ST_CONFLICT);
    char *long_run = calloc(1, NN_CHECKPOINT_RUN_CHARS_MAX + 2);
    assert_non_null(long_run);
    memset(long_run, 'a', NN_CHECKPOINT_RUN_CHARS_MAX + 1);
    assert_int_equal(nn_checkpoint_write(f->path, f->model, f->params, NULL, 5, long_run, &err),
                     ST_LIMIT);
    free(long_run);
}

static void another_model_is_refused(void **state)
{
    const struct fixture *f = *state;
    write_checkpoint(f, true);
    assert_int_equal(read_checkpoint(f, f->other, true, false), ST_CONFLICT);
    unlink(f->path);
    assert_int_equal(read_checkpoint(f, f->model, true, false), ST_NOT_FOUND);
}

/* In place: replacing a file by truncating it makes some file systems wait for the disk. */
static void patch(const char *path, size_t offset, const uint8_t *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, n, (off_t)offset), n);
    close(fd);
}

static void every_damage_is_refused(void **state)
{
    const struct fixture *f = *state;
    struct error err;
    struct buf b;
    buf_init(&b);
    write_checkpoint(f, true);
    assert_int_equal(file_read(f->path, 1 << 20, &b, &err), ST_OK);
    for (size_t bit = 0; bit < 8 * b.size_bytes; bit++) {
        uint8_t flipped = b.data[bit / 8] ^ (uint8_t)(1u << bit % 8);
        patch(f->path, bit / 8, &flipped, 1);
        assert_int_equal(read_checkpoint(f, f->model, true, true), ST_FORMAT);
        patch(f->path, bit / 8, &b.data[bit / 8], 1);
    }
    assert_int_equal(read_checkpoint(f, f->model, true, true), ST_OK);
    for (size_t n = b.size_bytes; n-- > 0;) {
        assert_int_equal(truncate(f->path, (off_t)n), 0);
        assert_int_equal(read_checkpoint(f, f->model, true, true), ST_FORMAT);
    }
    buf_clear(&b);
}

/* With a checksum that is right the fields themselves are checked. */
static void fields_are_checked(void **state)
{
    const struct fixture *f = *state;
    struct error err;
    struct buf b;
    buf_init(&b);
    write_checkpoint(f, true);
    assert_int_equal(file_read(f->path, 1 << 20, &b, &err), ST_OK);
    size_t body = b.size_bytes - 4;
    const struct {
        size_t offset;
        enum status want;
    } fields[] = {{0, ST_FORMAT},
                  {4, ST_FORMAT},
                  {7, ST_FORMAT},
                  {8, ST_CONFLICT},
                  {80, ST_FORMAT},
                  {87, ST_FORMAT},
                  {88 + f->count * 4, ST_CONFLICT},
                  {88 + f->count * 4 + 1, ST_CONFLICT}};
    for (size_t k = 0; k < sizeof(fields) / sizeof(*fields); k++) {
        b.data[fields[k].offset] ^= 0x40;
        uint32_t crc = file_crc32(b.data, body);
        memcpy(b.data + body, &crc, 4);
        patch(f->path, 0, b.data, b.size_bytes);
        assert_int_equal(read_checkpoint(f, f->model, true, true), fields[k].want);
        b.data[fields[k].offset] ^= 0x40;
    }
    b.data[6] ^= 1; /* says that there is no optimiser: then its bytes are too many */
    uint32_t crc = file_crc32(b.data, body);
    memcpy(b.data + body, &crc, 4);
    patch(f->path, 0, b.data, b.size_bytes);
    assert_int_equal(read_checkpoint(f, f->model, true, true), ST_FORMAT);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(the_state_of_another_run_is_refused),
        cmocka_unit_test(another_model_is_refused),
        cmocka_unit_test(every_damage_is_refused),
        cmocka_unit_test(fields_are_checked),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
