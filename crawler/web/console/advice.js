// What a page's end means, and what can be done about it.

const BY_STATUS = {
  401: "The server wants a login; see [[auth]], [login] and headers in the definition.",
  403: "The server refuses us: perhaps this user_agent, or it wants a login.",
  404: "The server has no such page; the link that led here is out of date.",
  410: "The server says that the page is gone for good.",
  429: "The server is asked too often; a longer download_delay helps.",
};

const BY_WORD = [
  ["robots.txt:", "The site's robots.txt could not be had; until it can, nothing of it is fetched."],
  ["robots.txt", "The site's robots.txt asks crawlers to leave it alone; robotstxt_obey says whether that is heeded."],
  ["depth_limit", "It is deeper than depth_limit of the definition."],
  ["trap", "Its address looks like one of a space without end; see traps in the definition."],
  ["out of scope", "It was redirected to where this crawl does not go; see allowed_domains."],
  ["redirect", "Where it redirects to cannot be followed."],
  ["address refused", "It has a private address; workers fetch such only with --allow-private."],
  ["name not resolved", "There is no such host, or the workers' name server does not know it."],
  ["timeout", "The server took too long; connect_timeout and download_timeout say how long is waited."],
  ["no answer", "The server took too long; first_byte_timeout says how long is waited."],
  ["too slow", "The server took too long to send it all; download_timeout says how long is waited."],
  ["connection", "The server could not be reached, or hung up; “Retry failed” asks for it once more."],
  ["certificate", "Its certificate is not valid, so nobody knows who answers."],
  ["TLS", "No secure connection came about."],
  ["too large", "The page is larger than download_maxsize."],
  ["prox", "See the proxy_pool that the definition names, and [worker.proxy_pools] of the workers."],
  ["sitemap", "It is listed in sitemaps, and is none that can be read."],
  ["not readable", "What came could not be read as what its rule expects."],
  ["bomb", "Unpacked it would be larger than download_maxsize."],
];

export function advice({ page, method }) {
  const { state, status, reason } = page;
  if (state === "done") return reason ? `It was read. ${reason}.` : "It was fetched and read.";
  if (state === "pending") return page.attempts ? `It failed before (${reason || `HTTP ${status}`}) and is tried again.` : "It is known, and not fetched yet.";
  const words = reason || `HTTP ${status}`;
  return `${words}. ${meaning(status, reason, method)}`.trim();
}

function meaning(status, reason, method) {
  const known = BY_WORD.find(([word]) => reason.includes(word));
  if (known) return known[1];
  if (status >= 500) return "The server failed by itself; “Retry failed” asks for it once more.";
  if (status === 405 && method !== "GET") return "The server does not take this method here.";
  return BY_STATUS[status] ?? "";
}
