/* The table of retraining configurations as YAML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/configuration.h"

static enum status read_list(const char *text, struct train_configurations *c, struct error *err)
{
    struct yaml_doc *d;
    enum status st = yaml_open(text, strlen(text), "c.yaml", &d, err);
    if (st == ST_OK)
        st = train_configurations_read(d, yaml_root(d), c, err);
    yaml_close(&d);
    return st;
}

static void a_list_is_read(void **state)
{
    (void)state;
    struct train_configurations c;
    struct error err;
    assert_int_equal(read_list("- {name: light, epochs: 5, layers: 2, data: 0.25}\n"
                               "- {name: long, epochs: 30, layers: 2, data: 0.25}\n"
                               "- {name: all, epochs: 5, batch: 4, learning_rate: 0.01, "
                               "head_width: 0.5}\n",
                               &c, &err),
                     ST_OK);
    assert_int_equal(c.count, 3);
    assert_string_equal(c.items[1].name, "long");
    assert_true(train_configuration_is_same_training(&c.items[0], &c.items[1]));
    assert_false(train_configuration_is_same_training(&c.items[0], &c.items[2]));
    assert_int_equal(train_configuration_steps(&c.items[0], 33, 8), 5 * 2); /* 8.25 frames */
    assert_int_equal(train_configuration_steps(&c.items[2], 33, 8), 5 * 9);
    assert_int_equal(train_configuration_steps(&c.items[0], 1, 8), 5);
}

static void bad_lists_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {{"{}", "a list of 1"},
                 {"[]", "a list of 1"},
                 {"- 5", "is no configuration; write"},
                 {"- {epochs: 5}", "has no name"},
                 {"- {name: a}", "has no epochs"},
                 {"- {name: a, epochs: 0}", "c.yaml:1"},
                 {"- {name: a, epochs: 5, layer: 2}", "layers"},
                 {"- {name: a, epochs: 5, data: 0}", "c.yaml:1"},
                 {"- {name: a, epochs: 5}\n- {name: a, epochs: 6}", "c.yaml:2"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct train_configurations c = {.count = 7};
        struct error err;
        assert_int_equal(read_list(cases[i].text, &c, &err), ST_FORMAT);
        assert_int_equal(c.count, 7);
        if (!strstr(err.message, cases[i].want))
            fail_msg("'%s' lacks '%s'", err.message, cases[i].want);
    }
}

/* Whatever their padding holds. */
static void lists_are_compared(void **state)
{
    (void)state;
    static const char list[] = "- {name: a, epochs: 5}\n- {name: b, epochs: 5, layers: 2}\n";
    static const char *const others[] = {
        "- {name: a, epochs: 5}\n", "- {name: a, epochs: 5}\n- {name: b, epochs: 6, layers: 2}\n",
        "- {name: a, epochs: 5}\n- {name: b, epochs: 5, layers: 3}\n",
        "- {name: a, epochs: 5}\n- {name: c, epochs: 5, layers: 2}\n"};
    struct train_configurations a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0xa5, sizeof b);
    assert_int_equal(read_list(list, &a, NULL), ST_OK);
    assert_int_equal(read_list(list, &b, NULL), ST_OK);
    assert_true(train_configurations_same(&a, &b) && train_configurations_same(&b, &a));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(read_list(others[i], &b, NULL), ST_OK);
        assert_false(train_configurations_same(&a, &b) || train_configurations_same(&b, &a));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_list_is_read),
                                       cmocka_unit_test(lists_are_compared),
                                       cmocka_unit_test(bad_lists_have_a_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
