"use strict";

// The plots of a target. A point is seconds since the start, executions, edges, corpus,
// findings, executions per second.
class Plots {
	constructor(box) {
		this.total = Number(box.dataset.total);
		this.points = [];
		this.made = [];
		this.dark = matchMedia("(prefers-color-scheme: dark)");
		this.dark.addEventListener("change", () => this.draw());
		this.resized = new ResizeObserver(() => this.resize());
		this.resized.observe(box);
	}

	// add takes points in the order of time; those that are there already are left out.
	add(points) {
		const last = this.points.length ? this.points[this.points.length - 1][0] : -1;
		const more = points.filter((p) => p[0] > last);
		if (!more.length) return;
		this.points.push(...more);
		while (this.points.length > 2048) this.points = this.points.filter((_, i) => i % 2 === 1 || i === this.points.length - 1);
		if (!this.made.length) return this.draw();
		this.series().forEach((data, i) => this.made[i].setData(data));
		this.describe();
	}

	series() {
		const p = this.points;
		const at = p.map((p) => p[0]);
		const column = (i) => p.map((p) => p[i]);
		return [[at, column(2)], this.rates(), [at, column(3), column(4)]];
	}

	// rates has nothing where the target waited for its turn: much longer than from point to
	// point.
	rates() {
		const p = this.points;
		const steps = p.slice(1).map((q, i) => q[0] - p[i][0]).sort((a, b) => a - b);
		const long = Math.max(4, 4 * (steps[steps.length >> 1] || 0));
		const at = [], rate = [];
		p.forEach((q, i) => {
			if (i > 0 && q[0] - p[i - 1][0] > long) {
				at.push((q[0] + p[i - 1][0]) / 2);
				rate.push(null);
			}
			at.push(q[0]);
			rate.push(q[5]);
		});
		return [at, rate];
	}

	draw() {
		this.made.forEach((u) => u.destroy());
		const data = this.series();
		const count = (v) => (v == null ? "–" : Math.round(v).toLocaleString("en").replaceAll(",", "\u202f"));
		this.made = [
			this.plot("plot-edges", data[0], [{ label: "edges", colour: "--plot1", value: count, stepped: true, fill: true }]),
			this.plot("plot-rate", data[1], [{ label: "per second", colour: "--plot1", value: compact, fill: true }], true),
			this.plot("plot-corpus", data[2], [{ label: "corpus", colour: "--plot2", value: count, stepped: true }, { label: "findings", colour: "--plot3", value: count, stepped: true }], true),
		];
		this.describe();
	}

	plot(id, data, series, fromZero) {
		const box = document.getElementById(id);
		const style = getComputedStyle(document.documentElement);
		const colour = (name) => style.getPropertyValue(name).trim();
		const axis = { stroke: colour("--dim"), grid: { stroke: colour("--faint"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
		const shown = series.map((s) => ({
			label: s.label, stroke: colour(s.colour), width: 1.75, points: { show: false },
			fill: s.fill ? colour(s.colour) + "1f" : undefined,
			paths: s.stepped ? uPlot.paths.stepped({ align: 1 }) : uPlot.paths.linear(),
			value: (u, v, i) => latest(u, v, i, s.value),
		}));
		return new uPlot({
			width: Math.max(box.clientWidth, 100), height: 164, padding: [12, 8, 0, 0],
			cursor: { drag: { x: false, y: false }, points: { size: 6 } },
			scales: { x: { time: false }, y: { range: (_, low, high) => span(low, high, fromZero) } },
			axes: [
				{ ...axis, space: 64, size: 26, gap: 6, values: (_, list) => list.map(duration), incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800] },
				{ ...axis, size: 48, values: (_, list) => list.map((v) => (Number.isInteger(v) ? compact(v) : "")) },
			],
			series: [{ label: "after", value: (u, v) => latest(u, v, 0, duration) }, ...shown],
		}, data, box);
	}

	resize() {
		this.made.forEach((u) => {
			const width = u.root.parentElement.clientWidth;
			if (width > 0 && width !== u.width) u.setSize({ width, height: u.height });
		});
	}

	// describe says in words what the plots show.
	describe() {
		const p = this.points[this.points.length - 1];
		const text = [`${p[2]} of ${this.total} edges`, `${compact(p[5])} executions per second`, `${p[3]} inputs and ${p[4]} findings`];
		["plot-edges", "plot-rate", "plot-corpus"].forEach((id, i) => {
			const box = document.getElementById(id);
			box.setAttribute("role", "img");
			box.setAttribute("aria-label", `${text[i]} after ${duration(p[0])}`);
			box.dataset.points = this.points.length;
		});
	}
}

// latest writes the value under the cursor, and without one the last.
function latest(u, v, i, write) {
	if (v == null && u.cursor.idx == null) v = u.data[i][u.data[i].length - 1];
	return v == null ? "–" : write(v);
}

// span is what the vertical axis shows: not less than a few steps.
function span(low, high, fromZero) {
	if (low == null || high == null) return [0, 1];
	if (fromZero) return [0, Math.max(high * 1.08, 4)];
	const room = Math.max((high - low) * 0.08, 2);
	return [Math.max(0, low - room), high + room];
}

function compact(n) {
	for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
		if (n >= 0.9995 * size) return Number((n / size).toPrecision(3)) + "\u202f" + unit;
	}
	return String(Math.round(n));
}

function duration(seconds) {
	const s = Math.round(seconds);
	if (s < 60) return `${s}s`;
	if (s < 3600) return `${Math.floor(s / 60)}m${s % 60 ? (s % 60) + "s" : ""}`;
	if (s < 86400) return `${Math.floor(s / 3600)}h${Math.floor((s % 3600) / 60) ? Math.floor((s % 3600) / 60) + "m" : ""}`;
	return `${Math.floor(s / 86400)}d${Math.floor((s % 86400) / 3600) ? Math.floor((s % 86400) / 3600) + "h" : ""}`;
}
