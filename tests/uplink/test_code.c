/* Enrolment codes: what is made is read back, what is copied badly is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "uplink/code.h"

static void make(struct rng *rng, char text[CODE_CHARS + 1], char secret[CODE_SECRET_CHARS + 1],
                 char pin[CODE_PIN_CHARS + 1])
{
    uint8_t random[CODE_SECRET_BYTES], key[32];
    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)rng_u64(rng);
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)rng_u64(rng);
    code_make(random, key, text, secret);
    code_pin(key, pin);
}

/* Independent of ours: the number that the symbols say, a bit at a time. */
static void symbols_are_the_bits(void **state)
{
    (void)state;
    static const char symbols[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t key[32];
    char pin[CODE_PIN_CHARS + 1];
    for (int i = 0; i < 32; i++)
        key[i] = (uint8_t)(37 * i + 11);
    code_pin(key, pin);
    for (int bit = 0; bit < 5 * CODE_PIN_CHARS; bit++) {
        int said = (int)(strchr(symbols, pin[bit / 5]) - symbols) >> (4 - bit % 5) & 1;
        assert_int_equal(said, key[bit / 8] >> (7 - bit % 8) & 1);
    }
}

static void codes_are_read_back(void **state)
{
    (void)state;
    struct rng rng;
    struct code c;
    struct error err;
    char text[CODE_CHARS + 1], secret[CODE_SECRET_CHARS + 1], pin[CODE_PIN_CHARS + 1];
    char by_hand[2 * CODE_CHARS + 1];
    rng_init(&rng, 5, 0);
    for (int round = 0; round < 200; round++) {
        make(&rng, text, secret, pin);
        assert_int_equal(strlen(text), CODE_CHARS);
        assert_int_equal(code_read(text, &c, &err), ST_OK);
        assert_string_equal(c.secret, secret);
        assert_string_equal(c.pin, pin);
        int n = 0; /* small letters, spaces, look-alikes */
        for (const char *p = text; *p; p++) {
            char small = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
            by_hand[n++] = *p == '0' ? 'o' : *p == '1' ? 'l' : *p == '-' ? ' ' : small;
        }
        by_hand[n] = '\0';
        assert_int_equal(code_read(by_hand, &c, &err), ST_OK);
        assert_string_equal(c.secret, secret);
    }
}

static void slips_are_noticed(void **state)
{
    (void)state;
    struct rng rng;
    struct code c;
    struct error err;
    char text[CODE_CHARS + 1], secret[CODE_SECRET_CHARS + 1], pin[CODE_PIN_CHARS + 1];
    rng_init(&rng, 6, 0);
    make(&rng, text, secret, pin);
    for (size_t cut = 0; cut < CODE_CHARS; cut++) {
        char part[CODE_CHARS + 1];
        snprintf(part, sizeof part, "%.*s", (int)cut, text);
        assert_int_equal(code_read(part, &c, &err), ST_FORMAT);
    }
    for (int at = 0; at < CODE_CHARS; at++) { /* one wrong symbol, two exchanged */
        char wrong[CODE_CHARS + 1];
        memcpy(wrong, text, sizeof wrong);
        if (text[at] == '-')
            continue;
        wrong[at] = text[at] == 'Z' ? '2' : 'Z';
        assert_int_equal(code_read(wrong, &c, &err), ST_FORMAT);
        wrong[at] = 'U'; /* is no symbol */
        assert_int_equal(code_read(wrong, &c, &err), ST_FORMAT);
        if (at + 1 < CODE_CHARS && text[at + 1] != '-' && text[at + 1] != text[at]) {
            memcpy(wrong, text, sizeof wrong);
            wrong[at] = text[at + 1];
            wrong[at + 1] = text[at];
            assert_int_equal(code_read(wrong, &c, &err), ST_FORMAT);
        }
    }
    char longer[CODE_CHARS + 2];
    snprintf(longer, sizeof longer, "%s0", text);
    assert_int_equal(code_read(longer, &c, &err), ST_FORMAT);
    assert_int_equal(code_read("", &c, &err), ST_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_are_the_bits),
        cmocka_unit_test(codes_are_read_back),
        cmocka_unit_test(slips_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
