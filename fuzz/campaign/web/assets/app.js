"use strict";

const main = document.getElementById("main");
let at = document.body.dataset.id; // where in the stream of events this page is
let plots = null;

// The stream: each event says that something has changed, and brings new points.
let stream = null;
function follow() {
	stream = new EventSource("/events?after=" + encodeURIComponent(at));
	stream.addEventListener("open", () => linked("live", "live"));
	stream.addEventListener("status", changed);
	stream.addEventListener("end", (event) => {
		stream.close();
		changed(event);
		linked("", "ended");
		say("The run has ended.");
	});
	stream.addEventListener("error", () => {
		linked("lost", "no connection");
		if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 10000);
	});
}

function linked(lamp, text) {
	document.getElementById("lamp").className = "lamp " + lamp;
	document.getElementById("link-text").textContent = text;
}

function changed(event) {
	const status = JSON.parse(event.data);
	at = status.id;
	if (plots) plots.add(status.points[plotsOf()] || []);
	announce(status);
	refresh();
	reload(status);
}

// refresh has the server write the page again, and takes over what is different. There is
// one request at a time, at most every second.
let refreshing = false, again = false;
async function refresh() {
	if (refreshing) {
		again = true;
		return;
	}
	refreshing = true;
	again = false;
	try {
		const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
		if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
	} catch {
		// The stream says that the connection is lost.
	}
	await new Promise((done) => setTimeout(done, 1000));
	refreshing = false;
	if (again) refresh();
}

function take(page) {
	for (const id of ["main", "run"]) {
		const fresh = page.getElementById(id), old = document.getElementById(id);
		if (fresh && old) morph(old, fresh);
	}
	document.title = page.title;
}

// announce tells those who listen: findings at once, the rest from time to time.
let announced = null;
function announce(status) {
	const now = { time: Date.now(), findings: 0, edges: 0, total: 0 };
	for (const t of status.targets) {
		now.findings += t.new_findings;
		now.edges += t.edges_found;
		now.total += t.total_edges;
	}
	if (announced && now.findings > announced.findings) say(`New finding: ${now.findings} in all.`);
	else if (announced && now.time - announced.time < 30000) return;
	else say(`${now.edges} of ${now.total} edges, ${now.findings} new findings.`);
	announced = now;
}

function say(text) {
	document.getElementById("said").textContent = text;
}

// Plots.
function plotsOf() {
	return document.getElementById("plots").dataset.target;
}

async function plotAll() {
	const box = document.getElementById("plots");
	if (!box) return;
	plots = new Plots(box);
	const answer = await fetch("/api/targets/" + encodeURIComponent(plotsOf()));
	if (!answer.ok) return;
	const target = await answer.json();
	at = target.id;
	plots.add(target.points);
}

// Parts that take a while are asked for once the page is there, and again when there are
// more edges, but not all the time.
let loadedAt = 0, loadedEdges = -1, loading = false;
async function load() {
	const box = document.querySelector("[data-load]");
	if (!box || loading) return;
	loading = true;
	try {
		const answer = await fetch(box.dataset.load);
		const part = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("content");
		if (part) box.replaceChildren(...part.children);
	} catch {
		// The next change asks again.
	}
	loadedAt = Date.now();
	loading = false;
}

function reload(status) {
	const box = document.getElementById("plots");
	const target = box && status.targets.find((t) => t.name === box.dataset.target);
	if (!target || target.edges_found === loadedEdges || Date.now() - loadedAt < 15000) return;
	loadedEdges = target.edges_found;
	load();
}

// Keys: j and k or the arrows go from row to row, as links that can be opened.
document.addEventListener("keydown", (event) => {
	if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, textarea, select, .picture, .file .wide")) return;
	const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
	if (!step) return;
	const rows = [...main.querySelectorAll("[data-row]")];
	const now = rows.findIndex((row) => row.contains(document.activeElement));
	if (event.key.startsWith("Arrow") && now < 0) return; // that scrolls
	const row = rows[now < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(now + step, 0), rows.length - 1)];
	if (!row) return;
	event.preventDefault();
	(row.querySelector("a") || row).focus();
});

document.addEventListener("click", async (event) => {
	const button = event.target.closest("[data-copy]");
	if (!button) return;
	const text = document.getElementById(button.dataset.copy);
	try {
		await navigator.clipboard.writeText(text.textContent);
		button.textContent = "Copied";
	} catch {
		getSelection().selectAllChildren(text); // over plain HTTP from elsewhere
		button.textContent = "Selected";
	}
});

// The report is as high as it is: there is one bar to scroll with.
const report = document.getElementById("report");
if (report) {
	const fit = () => {
		const inside = report.contentDocument;
		if (inside && inside.body) report.style.height = Math.ceil(inside.body.getBoundingClientRect().height) + 4 + "px";
	};
	report.addEventListener("load", fit);
	new ResizeObserver(fit).observe(main);
	fit();
}

// The picture of the control flow begins as wide as there is room, as long as it can be
// read, and with the entry in sight.
const graph = document.getElementById("graph");
if (graph) {
	const box = graph.parentElement;
	let scale = 1;
	const zoom = (to) => {
		const middle = [(box.scrollLeft + box.clientWidth / 2) / scale, (box.scrollTop + box.clientHeight / 2) / scale];
		scale = Math.min(Math.max(to, 0.1), 4);
		graph.style.width = graph.naturalWidth * scale + "px";
		box.scrollTo(middle[0] * scale - box.clientWidth / 2, middle[1] * scale - box.clientHeight / 2);
		document.getElementById("zoom").textContent = Math.round(scale * 100) + "\u202f%";
	};
	const begin = () => {
		document.querySelector(".zoom").hidden = false;
		zoom(Math.min(1, Math.max(0.5, box.clientWidth / graph.naturalWidth)));
		box.scrollTo((box.scrollWidth - box.clientWidth) / 2, 0);
	};
	if (graph.complete && graph.naturalWidth) begin();
	else graph.addEventListener("load", begin);
	document.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => zoom(scale * button.dataset.zoom)));
}

(async () => {
	await plotAll();
	if (at) follow();
	load();
})();
