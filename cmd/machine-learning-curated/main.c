/*
 * machine-learning-curated: joins step trainer and phone readings into training records
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"
#include "streams/streams.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &machine_learning_curated, "joins step trainer and phone readings into training records",
                       catalog_streams, &catalog_config);
}
