#include "synth/things.h"

const char *const town_thing_names[TOWN_THING_COUNT] = {"car", "lorry", "bus", "person", "cyclist"};
