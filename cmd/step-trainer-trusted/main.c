/*
 * step-trainer-trusted: lets step trainer readings of curated customers through
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"
#include "streams/streams.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &step_trainer_trusted, "lets step trainer readings of curated customers through",
                       catalog_streams, &catalog_config);
}
