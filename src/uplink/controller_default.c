/* controller_default.c - the table that a camera has without a file. */
#include "uplink/controller_table.h"

void controller_table_init(struct controller_table *t)
{
    *t = (struct controller_table){.width = 320,
                                   .height = 192,
                                   .rate_factor = 23,
                                   .slack = 0.01,
                                   .size_count = 2,
                                   .rate_count = 5,
                                   .share_count = 3,
                                   .fps = {0.1, 0.25, 0.5, 1, 2},
                                   .share = {0.125, 0.25, 0.5},
                                   .sizes = {{.scale = 1,
                                              .trainable_fps = 4,
                                              .kbps = {10, 25, 45, 80, 140},
                                              .accuracy = {{0.5, 0.55, 0.58, 0.6, 0.6},
                                                           {0.52, 0.58, 0.62, 0.64, 0.64},
                                                           {0.53, 0.6, 0.64, 0.67, 0.68}}},
                                             {.scale = 0.5,
                                              .trainable_fps = 4,
                                              .kbps = {4, 9, 16, 28, 50},
                                              .accuracy = {{0.45, 0.5, 0.53, 0.55, 0.55},
                                                           {0.47, 0.53, 0.57, 0.59, 0.59},
                                                           {0.48, 0.55, 0.59, 0.62, 0.63}}}}};
}
