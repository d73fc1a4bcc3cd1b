/* The grouper as bytes: the same calls give the same bytes, what was loaded goes on as what was
 * saved, and nothing damaged is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "planted.h"

static struct group_settings settings(void)
{
    struct group_settings s;
    group_settings_init(&s);
    s.rest_windows = 6;
    return s;
}

static void save(const struct grouper *g, struct buf *out)
{
    struct error err;
    buf_init(out);
    assert_int_equal(grouper_save(g, out, &err), ST_OK);
}

static void begin(struct planted *p, struct grouper **g)
{
    struct group_settings s = settings();
    struct planted_options o;
    struct error err;
    planted_options_init(&o);
    o.windows = 30;
    assert_true(planted_open(&o, p));
    assert_int_equal(grouper_open(&s, g, &err), ST_OK);
    assert_int_equal(planted_enlist(p, *g, &err), ST_OK);
}

static void advance(struct planted *p, struct grouper *g, int windows)
{
    struct error err;
    for (int i = 0; i < windows; i++)
        assert_int_equal(planted_window(p, g, &err), ST_OK);
}

static void same_calls_same_bytes(void **state)
{
    (void)state;
    struct buf out[2];
    for (int i = 0; i < 2; i++) {
        struct planted p;
        struct grouper *g;
        begin(&p, &g);
        advance(&p, g, 30);
        save(g, &out[i]);
        grouper_close(&g);
        planted_close(&p);
    }
    assert_int_equal(out[0].size_bytes, out[1].size_bytes);
    assert_memory_equal(out[0].data, out[1].data, out[0].size_bytes);
    buf_clear(&out[0]);
    buf_clear(&out[1]);
}

/* Two equal fleets; one grouper is saved and loaded at every third window. */
static void loaded_goes_on_as_saved(void **state)
{
    (void)state;
    struct group_settings s = settings();
    struct planted p, q;
    struct grouper *g, *h;
    struct error err;
    uint64_t emptied;
    begin(&p, &g);
    begin(&q, &h);
    for (int w = 0; w < 30; w++) {
        struct buf a, b;
        advance(&p, g, 1);
        advance(&q, h, 1);
        if (w == 14) { /* a number in the middle that is not in use */
            grouper_remove(g, 5, &emptied);
            grouper_remove(h, 5, &emptied);
        }
        save(g, &a);
        save(h, &b);
        assert_int_equal(a.size_bytes, b.size_bytes);
        assert_memory_equal(a.data, b.data, a.size_bytes);
        if (w % 3 == 2) {
            grouper_close(&h);
            assert_int_equal(grouper_load(&s, b.data, b.size_bytes, &h, &err), ST_OK);
        }
        for (int n, i = 0; i < 2; i++) {
            assert_int_equal(grouper_camera(i ? g : h, "cam5", &n, &err), ST_OK);
            assert_int_equal(n, 5);
        }
        buf_clear(&a);
        buf_clear(&b);
    }
    grouper_close(&g);
    grouper_close(&h);
    planted_close(&p);
    planted_close(&q);
}

static void damage_is_refused(void **state)
{
    (void)state;
    struct group_settings s = settings();
    struct planted p;
    struct grouper *g, *none = NULL;
    struct error err;
    struct buf b;
    begin(&p, &g);
    advance(&p, g, 3);
    save(g, &b);
    for (size_t n = 0; n < b.size_bytes; n += n < 600 ? 1 : 97)
        assert_int_equal(grouper_load(&s, b.data, n, &none, &err), ST_FORMAT);
    for (size_t i = 0; i < b.size_bytes; i += i < 600 ? 1 : 89) {
        b.data[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(grouper_load(&s, b.data, b.size_bytes, &none, &err), ST_FORMAT);
        b.data[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_null(none);
    buf_clear(&b);
    grouper_close(&g);
    planted_close(&p);
}

/* Behind a checksum that fits: a loaded grouper keeps its promises or is none. */
static void nonsense_is_refused(void **state)
{
    (void)state;
    struct group_settings s = settings();
    struct planted p;
    struct grouper *g, *h;
    struct error err;
    struct buf b;
    struct rng r;
    int refused = 0;
    begin(&p, &g);
    advance(&p, g, 3);
    save(g, &b);
    rng_init(&r, 1, 0);
    for (int i = 0; i < 3000; i++) {
        size_t at = 6 + rng_below(&r, (uint32_t)b.size_bytes - 10);
        uint8_t was = b.data[at];
        b.data[at] = (uint8_t)rng_below(&r, 256);
        uint32_t crc = file_crc32(b.data, b.size_bytes - 4);
        memcpy(b.data + b.size_bytes - 4, &crc, 4);
        enum status st = grouper_load(&s, b.data, b.size_bytes, &h, &err);
        if (st == ST_OK) {
            for (int k = 0; k < grouper_group_count(h); k++) {
                struct group_view v = grouper_group_at(h, k);
                for (int m = 0; m < v.member_count; m++)
                    assert_int_equal(grouper_group_of(h, v.members[m]), v.id);
            }
            grouper_close(&h);
        } else
            refused++;
        b.data[at] = was;
    }
    assert_true(refused > 100);
    buf_clear(&b);
    grouper_close(&g);
    planted_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_calls_same_bytes),
        cmocka_unit_test(loaded_goes_on_as_saved),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
