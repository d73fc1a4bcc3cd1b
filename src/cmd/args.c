/* args.c - what the option parsers of the subcommands share. */
#include <stdlib.h>

#include "cmd/cmd.h"

bool cmd_number(const char *command, const char *flag, const char *text, double min, double max,
                double *ret)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max)) {
        cmd_usage(command, "--%s takes a number from %g to %g, not '%s'", flag, min, max, text);
        return false;
    }
    *ret = v;
    return true;
}

bool cmd_whole(const char *command, const char *flag, const char *text, int min, int max, int *ret)
{
    double v;
    if (!cmd_number(command, flag, text, min, max, &v))
        return false;
    if (v != (double)(int)v) {
        cmd_usage(command, "--%s takes a whole number, not '%s'", flag, text);
        return false;
    }
    *ret = (int)v;
    return true;
}
