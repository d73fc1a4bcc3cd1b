/* trainings.c - what past retrainings cost and brought, of the whole fleet. */
#include "store/db.h"

enum status store_training_put(struct store *s, const struct store_training *t, struct error *err)
{
    db_lock(s);
    enum status st =
        db_run(s, err,
               "INSERT INTO trainings(camera,configuration,episode,accuracy_start,"
               "accuracy_end,profiled_start,profiled_end,compute_s,steps,accepted,t_us)"
               " VALUES(?,?,?,?,?,?,?,?,?,?,?)",
               "ttifffffiii", t->camera, t->configuration, (int64_t)t->episode, t->start, t->end,
               t->profiled_start, t->profiled_end, t->compute_s, (int64_t)t->steps,
               (int64_t)t->accepted, (int64_t)t->t_us);
    db_unlock(s);
    return st;
}

static void read_row(sqlite3_stmt *q, struct store_training *t)
{
    db_text(q, 0, t->camera, sizeof t->camera);
    db_text(q, 1, t->configuration, sizeof t->configuration);
    t->episode = db_u64(q, 2);
    t->start = db_real(q, 3);
    t->end = db_real(q, 4);
    t->profiled_start = db_real(q, 5);
    t->profiled_end = db_real(q, 6);
    t->compute_s = db_real(q, 7);
    t->steps = sqlite3_column_int(q, 8);
    t->accepted = sqlite3_column_int(q, 9) != 0;
    t->t_us = db_u64(q, 10);
}

enum status store_trainings(struct store *s, const char *camera, int limit, store_training_row *row,
                            void *context, struct error *err)
{
    sqlite3_stmt *q;
    db_lock(s);
    enum status st = db_query(s, err, &q,
                              "SELECT camera,configuration,episode,accuracy_start,accuracy_end,"
                              "profiled_start,profiled_end,compute_s,steps,accepted,t_us"
                              " FROM trainings WHERE ?1='' OR camera=?1 ORDER BY id DESC LIMIT ?2",
                              "ti", camera ? camera : "", (int64_t)limit);
    if (st == ST_OK) {
        struct store_training t;
        while ((st = db_step(s, q, err)) == ST_OK) {
            read_row(q, &t);
            row(&t, context);
        }
        sqlite3_finalize(q);
    }
    db_unlock(s);
    return st == ST_END ? ST_OK : st;
}
