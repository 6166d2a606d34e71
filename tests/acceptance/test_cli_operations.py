"""`hoc serve` for operators: the metrics of all workers, and the registration in Consul."""

import re

from support.command_line import data_directory, serving, wait_until
from support.consul import consul_agent

REQUESTS = 40


def test_every_scrape_has_the_metrics_of_all_workers(database_url: str) -> None:
    with data_directory() as data, serving(data, "--workers", "2", HOC_DATABASE_URL=database_url) as server:
        for _ in range(REQUESTS):
            assert server.get("/accounts/profile").status_code == 401
        counted = 'route="/accounts/profile",status="401"} 40.0'
        scrapes = [server.get("/metrics").text for _ in range(10)]
        assert all(counted in scraped for scraped in scrapes)
        assert len(re.findall(r"process_cpu_seconds_total\{pid=", scrapes[-1])) == 2
        assert server.stop() == 0


def test_a_server_is_registered_in_consul_while_it_runs(database_url: str) -> None:
    with (
        data_directory() as data,
        consul_agent() as agent,
        serving(data, HOC_DATABASE_URL=database_url, HOC_CONSUL_URL=agent.url) as server,
    ):
        wait_until(lambda: agent.services)
        [service_id] = agent.services
        assert agent.check(service_id) == "passing"
        assert server.stop() == 0
        assert not agent.services
