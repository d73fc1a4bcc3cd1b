/* Groups and zoos as bytes: any bytes give a state that keeps its promises and survives a second
 * round, or an error. */
#include <assert.h>
#include <string.h>

#include "base/file.h"
#include "group/group.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_members(const struct grouper *g)
{
    for (int i = 0; i < grouper_group_count(g); i++) {
        struct group_view k = grouper_group_at(g, i);
        assert(k.member_count >= 1);
        for (int m = 0; m < k.member_count; m++)
            assert(grouper_group_of(g, k.members[m]) == k.id);
    }
}

static void check_groups(const void *data, size_t n)
{
    struct group_settings s;
    struct grouper *g, *again;
    struct group_review r;
    struct group_actions a;
    struct buf out;
    group_settings_init(&s);
    if (grouper_load(&s, data, n, &g, NULL) != ST_OK)
        return;
    check_members(g);
    buf_init(&out);
    assert(grouper_save(g, &out, NULL) == ST_OK);
    assert(out.size_bytes == n && memcmp(out.data, data, n) == 0);
    assert(grouper_load(&s, out.data, out.size_bytes, &again, NULL) == ST_OK);
    if (grouper_review(again, 1, &r, NULL) == ST_OK) {
        for (int i = 0; i < r.trial_count; i++)
            r.trials[i].score = (struct group_score){.accuracy = i % 7 / 7.0, .frames = 8};
        if (grouper_conclude(again, &r, &a, NULL) == ST_OK)
            group_actions_clear(&a);
        group_review_clear(&r);
    }
    check_members(again);
    grouper_close(&again);
    grouper_close(&g);
    buf_clear(&out);
}

static void check_zoo(const void *data, size_t n)
{
    struct zoo *z;
    struct buf out;
    if (zoo_load(data, n, &z, NULL) != ST_OK)
        return;
    buf_init(&out);
    assert(zoo_save(z, &out, NULL) == ST_OK);
    assert(out.size_bytes == n && memcmp(out.data, data, n) == 0);
    buf_clear(&out);
    zoo_close(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t copy[8192];
    check_groups(data, n);
    check_zoo(data, n);
    /* Behind the checksum too: patch it to fit. */
    if (n < 8 || n > sizeof copy)
        return 0;
    memcpy(copy, data, n);
    uint32_t crc = file_crc32(copy, n - 4);
    for (int i = 0; i < 4; i++)
        copy[n - 4 + (size_t)i] = (uint8_t)(crc >> 8 * i);
    check_groups(copy, n);
    check_zoo(copy, n);
    return 0;
}
