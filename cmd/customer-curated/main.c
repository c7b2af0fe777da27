/*
 * customer-curated: keeps the table of trusted customers who have readings
 */
#include "daemon/daemon.h"
#include "streams/catalog.h"
#include "streams/streams.h"

int
main(int argc, char **argv)
{
    return daemon_main(argc, argv, &customer_curated, "keeps the table of trusted customers who have readings",
                       catalog_streams, &catalog_config);
}
