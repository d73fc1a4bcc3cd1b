/* What comes from elsewhere commands no terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cmd/plain.h"

static void expect(const char *text, const char *plain)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", text);
    plain_text(copy);
    assert_string_equal(copy, plain);
}

static void commands_become_question_marks(void **state)
{
    (void)state;
    expect("gate 2: 40 % -> 22 %", "gate 2: 40 % -> 22 %");
    expect("\x1b[2J\x1b]0;owned\x07", "?[2J?]0;owned?");
    expect("a\tb\r\nc\x7f", "a?b??c?");
    expect("\xc2\x9b"
           "31m",
           "?31m");      /* CSI as one character of UTF-8 */
    expect("\x9b", "?"); /* and as a byte */
    expect("Stra\xc3\x9f"
           "e \xe6\x9d\xb1",
           "Stra\xc3\x9f"
           "e \xe6\x9d\xb1");
    expect("\xe2\x80\xaegpj.exe", "?gpj.exe");                                   /* right to left */
    expect("\xc0\xaf \xed\xa0\x80 \xf5\x80\x80\x80 \xe6\x9d", "?? ??? ???? ??"); /* no UTF-8 */
    expect("", "");
    assert_int_equal(plain_columns("ab"), 2);
    assert_int_equal(plain_columns("\xe6\x9d\xb1"), 2);
    assert_int_equal(plain_columns("e\xcc\x81"), 1);
}

static void all_strings_of_json(void **state)
{
    (void)state;
    json_t *o =
        json_pack("{s:s,s:[s,{s:s}],s:i}", "a", "x\x1b[0m", "b", "\x1b", "k\x1by", "\x07", "n", 3);
    assert_non_null(o);
    plain_json(o);
    char *text = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(text, "{\"a\":\"x?[0m\",\"b\":[\"?\",{\"k?y\":\"?\"}],\"n\":3}");
    free(text);
    json_decref(o);
}

/* Whatever the bytes, what comes out is UTF-8 without commands, and plain text stays as it is. */
static void any_bytes(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7, 0);
    for (int round = 0; round < 20000; round++) {
        char text[32], again[32];
        int n = (int)rng_below(&r, sizeof text);
        for (int i = 0; i < n; i++)
            text[i] = (char)(rng_below(&r, 255) + 1);
        text[n] = '\0';
        plain_text(text);
        json_t *as_json = json_string(text);
        assert_non_null(as_json); /* an independent judge of UTF-8 */
        json_decref(as_json);
        for (const unsigned char *c = (const unsigned char *)text; *c; c++)
            assert_true(*c >= ' ' && *c != 0x7f && !(c[0] == 0xc2 && c[1] < 0xa0));
        snprintf(again, sizeof again, "%s", text);
        plain_text(again);
        assert_string_equal(again, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands_become_question_marks),
                                       cmocka_unit_test(all_strings_of_json),
                                       cmocka_unit_test(any_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
