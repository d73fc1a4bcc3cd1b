/* code.c - see code.h. */
#include "uplink/code.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

#define SYMBOLS "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define SYMBOL_COUNT (CODE_SECRET_CHARS + CODE_PIN_CHARS + 2)
#define GROUP 4

/* The first `count` groups of five bits. */
static void to_symbols(const uint8_t *bytes, int count, char *ret)
{
    for (int i = 0; i < count; i++) {
        int bit = 5 * i, at = bit / 8, shift = bit % 8;
        unsigned pair = (unsigned)bytes[at] << 8 | (shift > 3 ? bytes[at + 1] : 0);
        ret[i] = SYMBOLS[pair >> (11 - shift) & 31];
    }
    ret[count] = '\0';
}

static void check_symbols(const char *body, size_t n, char ret[2])
{
    uint32_t crc = file_crc32(body, n);
    ret[0] = SYMBOLS[crc & 31];
    ret[1] = SYMBOLS[crc >> 5 & 31];
}

void code_pin(const uint8_t *key_sha256, char ret[CODE_PIN_CHARS + 1])
{
    static const uint8_t none[32];
    to_symbols(key_sha256 ? key_sha256 : none, CODE_PIN_CHARS, ret);
}

void code_make(const uint8_t random[CODE_SECRET_BYTES], const uint8_t *key_sha256,
               char ret[CODE_CHARS + 1], char secret[CODE_SECRET_CHARS + 1])
{
    char all[SYMBOL_COUNT + 1];
    to_symbols(random, CODE_SECRET_CHARS, secret);
    memcpy(all, secret, CODE_SECRET_CHARS);
    code_pin(key_sha256, all + CODE_SECRET_CHARS);
    check_symbols(all, SYMBOL_COUNT - 2, all + SYMBOL_COUNT - 2);
    int n = 0;
    for (int i = 0; i < SYMBOL_COUNT; i++) {
        if (i > 0 && i % GROUP == 0)
            ret[n++] = '-';
        ret[n++] = all[i];
    }
    ret[n] = '\0';
}

/* The symbol that is meant, 0 for none. */
static char symbol_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        return '0';
    if (c == 'I' || c == 'L')
        return '1';
    return c && strchr(SYMBOLS, c) ? c : '\0';
}

enum status code_read(const char *text, struct code *ret, struct error *err)
{
    char all[SYMBOL_COUNT], check[2];
    int count = 0;
    for (const char *c = text; *c; c++) {
        char symbol = symbol_of(*c);
        if (strchr(" -\t\r\n", *c))
            continue;
        if (!symbol || count == SYMBOL_COUNT)
            return error_set(err, ST_FORMAT,
                             "this is no enrolment code: it has %d letters and digits in groups of "
                             "%d; copy it whole",
                             SYMBOL_COUNT, GROUP);
        all[count++] = symbol;
    }
    if (count < SYMBOL_COUNT)
        return error_set(err, ST_FORMAT,
                         "%d letters or digits of the code are missing, copy it "
                         "whole",
                         SYMBOL_COUNT - count);
    check_symbols(all, SYMBOL_COUNT - 2, check);
    if (memcmp(check, all + SYMBOL_COUNT - 2, 2) != 0)
        return error_set(err, ST_FORMAT, "a letter or digit of the code is wrong; copy it again");
    memcpy(ret->secret, all, CODE_SECRET_CHARS);
    memcpy(ret->pin, all + CODE_SECRET_CHARS, CODE_PIN_CHARS);
    ret->secret[CODE_SECRET_CHARS] = ret->pin[CODE_PIN_CHARS] = '\0';
    return ST_OK;
}
