"use strict";
(() => {
  const at = (name) => document.getElementById(`feature-validity-${name}`);
  const option = (text) => Object.assign(document.createElement("option"), { textContent: text });

  // One concept in one model at a time

  const concepts = [...document.querySelectorAll("#feature-validity-concepts > details")];
  const choose = (chosen) => {
    for (const each of concepts) {
      each.hidden = each !== chosen;
      each.open = each === chosen;
    }
    at("model").value = chosen.dataset.model;
    at("concept").value = chosen.dataset.concept;
  };
  const chosen = () => {
    const of = concepts.filter((each) => each.dataset.model === at("model").value);
    choose(of.find((each) => each.dataset.concept === at("concept").value) ?? of[0]);
  };
  if (concepts.length) {
    const distinct = (name) => [...new Set(concepts.map((each) => each.dataset[name]))];
    at("model").replaceChildren(...distinct("model").map(option));
    at("concept").replaceChildren(...distinct("concept").map(option));
    for (const name of ["model", "concept"]) at(name).addEventListener("change", chosen);
    at("choice").hidden = false;
    choose(concepts.find((each) => each.querySelector("table")) ?? concepts[0]);
  }

  // A point of the chart leads to its concept

  const holder = document.getElementById("data-feature-validity");
  const plot = document.querySelector("#figure-labels .plot");
  if (holder && plot) {
    const { points } = JSON.parse(holder.textContent);
    const listen = () => {
      if (!plot.on) return false;
      plot.on("plotly_click", ({ points: [point] }) => {
        const target = document.getElementById(points[point.curveNumber]?.[point.pointNumber] ?? "");
        if (!target) return;
        choose(target);
        at("controls").scrollIntoView({ block: "start" });
        target.querySelector("summary").focus({ preventScroll: true });
      });
      return true;
    };
    const watcher = new MutationObserver(() => { if (listen()) watcher.disconnect(); });
    if (!listen()) watcher.observe(plot, { childList: true, subtree: true });
  }

  // One misleading feature at a time

  const features = [...document.querySelectorAll(".feature.illusion")];
  if (features.length) {
    const show = () => features.forEach((each, number) => { each.hidden = number !== at("feature").selectedIndex; });
    at("feature").replaceChildren(...features.map((each) => option(each.querySelector(".subject").textContent)));
    at("feature").addEventListener("change", show);
    at("chosen").hidden = features.length < 2;
    show();
  }
})();
