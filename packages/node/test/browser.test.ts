/** What a browser does to a page that people have open: proven in Chromium, with a server process on a file. */
import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Chromium from "./utils/Chromium.ts"
import * as Gates from "./utils/Gates.ts"
import * as Pages from "./utils/Pages.ts"
import { until } from "./utils/until.ts"

const isMissing = Chromium.find() === undefined && process.env["CI"] !== "true"
if (isMissing) console.warn(`Skipped: ${Chromium.howToInstall}`)

const entries = (name: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${name}-${from + i}`)

/** When something was told last. */
const lastOf = (moments: ReadonlyArray<readonly [string, number]>, name: string) =>
  moments.filter(([what]) => what === name).at(-1)![1]

const names = (moments: ReadonlyArray<readonly [string, number]>) => moments.map(([name]) => name)

type Observer = Effect.Effect.Success<Effect.Effect.Success<ReturnType<typeof Pages.makeWorld>>["observer"]>

/** Each of these calls of a page was answered once, in order, with the place at which it took effect. */
const assertAnswers = (page: Pages.Watched, observer: Observer, calls: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* page.sees(({ answers }) => answers.length >= calls.length)
    const held = yield* observer.rpc.Entries()
    const { answers } = yield* page.told
    assert.deepStrictEqual(answers, calls.map((entry) => [entry, held.indexOf(entry) + 1]))
  })

/** All calls of a page, and these are all, took effect once, in order, and were answered. */
const assertOnce = (page: Pages.Watched, observer: Observer, count: number) =>
  Effect.gen(function*() {
    const calls = entries("ann", 1, count)
    yield* assertAnswers(page, observer, calls)
    const held = yield* observer.rpc.Entries()
    assert.deepStrictEqual(held.filter((entry) => entry.startsWith("ann-")), calls)
  })

/** Where events of a page are missing, though no gap was told there. */
const missedInSilence = (events: ReadonlyArray<string>, expected: ReadonlyArray<string>) =>
  events.filter((event, i) => {
    const before = events[i - 1]
    return event !== "gap" && before !== "gap" &&
      expected.indexOf(event) !== (before ? expected.indexOf(before) + 1 : 0)
  })

// what is done to hidden tabs after some minutes is done at once
const Live = Pages.layerWorkshop("--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1")

describe.skipIf(isMissing)("a page in Chromium", () => {
  layer(Live, { excludeTestServices: true, timeout: "300 seconds" })((it) => {
    it.scoped("C4 C13 calls made offline take effect once, in order, at once when the browser is online again", () =>
      Effect.gen(function*() {
        const { observer: observing, open, window } = yield* Pages.makeWorld({
          gateway: { heartbeat: 250, silence: 1000 }
        })
        const observer = yield* observing
        const ann = yield* open("ann")
        const spared: Array<string> = []
        for (const round of [0, 1]) {
          const first = 10 * round + 1
          yield* Effect.promise(() => window.setOffline(true))
          // on a link that looks alive; while it is found to be dead; when all dials fail
          yield* ann.call(first, first + 3)
          const { statuses } = yield* ann.told
          yield* ann.sees((told) => told.statuses.slice(statuses.length).some(([status]) => status === "Waiting"))
          yield* ann.call(first + 4, first + 6)
          yield* until(async () => (await ann.retryIn() ?? 0) > 1500, "a long wait begins", "2 minutes")
          yield* ann.call(first + 7, first + 9)
          const left = yield* Effect.promise(() => ann.retryIn())
          yield* Effect.promise(() => window.setOffline(false))
          yield* assertOnce(ann, observer, first + 9)
          const { moments, statuses: after } = yield* ann.told
          const took = lastOf(after, "resumed") - lastOf(moments, "online")
          spared.push(`${Math.round(took)} ms after the event, ${Math.round(left!)} ms before the next dial was due`)
          assert.isBelow(took, 1000)
        }
        assert.deepStrictEqual((yield* ann.told).events, entries("ann", 1, 20))
        console.log(`online again: back ${spared.join("; ")}`)
      }))

    it.scoped("C9 a link that died with its network is found when the browser is online again", () =>
      Effect.gen(function*() {
        const { observer: observing, open, proxy, window } = yield* Pages.makeWorld({ gateway: { heartbeat: 1000 } })
        const observer = yield* observing
        const ann = yield* open("ann")
        for (const round of [1, 2]) {
          yield* Effect.promise(() => window.setOffline(true))
          // nobody says that it is gone, and the silence of a link may last for half a minute
          yield* proxy.blackHole()
          yield* ann.call(2 * round - 1, 2 * round)
          yield* Effect.promise(() => window.setOffline(false))
          const before = performance.now()
          yield* assertOnce(ann, observer, 2 * round)
          assert.isBelow(performance.now() - before, 10_000)
        }
      }))

    it.scoped("C9 E2 a tab that is hidden keeps its link, though its timers come once a minute", () =>
      Effect.gen(function*() {
        const silence = 2500
        const world = yield* Pages.makeWorld({ gateway: { heartbeat: 500, silence } })
        const observer = yield* world.observer
        const ann = yield* world.open("ann")
        yield* world.hide
        yield* until(async () => (await ann.sinceTick()) > 3000, "its timers have stopped", "2 minutes")
        yield* Effect.sleep(3 * silence)
        // of each event the page says that it has arrived
        const told = entries("observer", 1, 1200)
        yield* Effect.forEach(told, (entry) => observer.rpc.Enter({ entry }))
        yield* ann.call(1, 3)
        yield* assertOnce(ann, observer, 3)
        const hidden = yield* ann.told
        assert.strictEqual(hidden.moments.at(-1)![0], "hidden")
        yield* Effect.promise(() => ann.tab.bringToFront())
        yield* ann.call(4, 6)
        yield* assertOnce(ann, observer, 6)
        yield* ann.sees(({ events }) => events.length === 1206)
        const { events, statuses } = yield* ann.told
        assert.deepStrictEqual(events, [...told, ...entries("ann", 1, 6)])
        assert.deepStrictEqual(names(statuses), ["Connected"], "the link was never lost")
      }))

    it.scoped("E2 E3 a frozen page resumes, or finds a gap beyond the window, and its calls are answered once", () =>
      Effect.gen(function*() {
        const world = yield* Pages.makeWorld({
          // a browser has to come back within it, also on a busy machine
          host: { resumeWindow: 6000 },
          gateway: { heartbeat: 200, silence: 600 }
        })
        const { proxy, server } = world
        const observer = yield* world.observer
        const ann = yield* world.open("ann")
        const tools = yield* ann.tools
        const setState = (state: "frozen" | "active") =>
          Effect.promise(() => tools.send("Page.setWebLifecycleState", { state }))
        const ends = () => server.lines.filter((line) => line === "ann ended: ResumeExpired").length
        const expected: Array<string> = []
        for (const [round, isLong] of [false, true, false, true].entries()) {
          const own = entries("ann", 2 * round + 1, 2 * round + 2)
          const others = entries("observer", 4 * round + 1, 4 * round + 4)
          yield* world.hide
          // they are made and take effect, but their answers are lost
          yield* proxy.blackHole("toClient")
          yield* ann.call(2 * round + 1, 2 * round + 2)
          yield* until(
            async () => (await Effect.runPromise(observer.rpc.Entries())).includes(own[1]!),
            "they take effect"
          )
          yield* setState("frozen")
          const seen = (yield* ann.told).events.length
          yield* Effect.forEach(others.slice(0, 2), (entry) => observer.rpc.Enter({ entry }))
          const ended = ends()
          yield* until(() => Effect.runSync(proxy.connections) === 0, "the server gives the link up")
          if (isLong) yield* until(() => ends() > ended, "the server gives the connection up")
          assert.strictEqual((yield* ann.told).events.length, seen, "it is frozen")
          // as when somebody comes back to the tab
          yield* setState("active")
          yield* Effect.promise(() => ann.tab.bringToFront())
          yield* assertOnce(ann, observer, 2 * round + 2)
          yield* Effect.forEach(others.slice(2), (entry) => observer.rpc.Enter({ entry }))
          expected.push(...isLong ? ["gap"] : [...own, ...others.slice(0, 2)], ...others.slice(2))
          yield* ann.sees(({ events }) => events.includes(others[3]!))
          assert.deepStrictEqual((yield* ann.told).events, expected)
          assert.strictEqual(ends(), ended + (isLong ? 1 : 0))
        }
        const moments = names((yield* ann.told).moments)
        assert.strictEqual(moments.filter((moment) => moment === "freeze").length, 4)
      }))

    it.scoped("S2 a page that is loaded again in the middle of a call has a new session, and the old one ends", () =>
      Effect.gen(function*() {
        const resumeWindow = 1000
        const world = yield* Pages.makeWorld({ host: { resumeWindow } })
        const { port, server } = world
        const observer = yield* world.observer
        let ann = yield* world.open("ann")
        const count = (line: string) => server.lines.filter((said) => said === line).length
        const reload = Effect.promise(() => ann.tab.reload())
        const expected: Array<string> = []
        for (const round of [1, 2]) {
          for (const [first, isLate] of [[10 * round, false], [10 * round + 5, true]] as const) {
            const entry = `ann-${first}`
            yield* ann.callGated(first)
            yield* until(() => count(`runs ${entry}`) === 1)
            yield* reload
            // nobody waits for it any more, and its session may have ended; it is not run again by whoever comes now
            if (isLate) yield* Effect.sleep(2 * resumeWindow)
            yield* Gates.open(port, entry)
            ann = yield* Pages.ready(ann.tab)
            yield* ann.call(first + 1, first + 2)
            yield* ann.sees(({ answers }) => answers.length === 2)
            expected.push(...entries("ann", first, first + 2))
            yield* assertAnswers(ann, observer, entries("ann", first + 1, first + 2))
          }
          yield* until(() => count("ann ended: ResumeExpired") === 2 * round, "old sessions end")
          assert.deepStrictEqual(yield* observer.rpc.Who(), ["ann", "observer"])
        }
        assert.deepStrictEqual(yield* observer.rpc.Entries(), expected)
        assert.strictEqual(count("ann is there"), 5)
      }))

    it.scoped("C7 E2 a page that comes back from the cache of the browser goes on", () =>
      Effect.gen(function*() {
        const world = yield* Pages.makeWorld()
        const observer = yield* world.observer
        const ann = yield* world.open("ann")
        for (const round of [1, 2]) {
          yield* world.proxy.blackHole("toClient")
          yield* ann.call(2 * round - 1, 2 * round)
          yield* until(async () => (await Effect.runPromise(observer.rpc.Entries())).includes(`ann-${2 * round}`))
          yield* Effect.promise(() => ann.tab.goto(world.elsewhere))
          yield* observer.rpc.Enter({ entry: `observer-${round}` })
          // Playwright waits for a load, and there is none
          yield* Effect.promise(() => ann.tab.evaluate(() => setTimeout(() => history.back())))
          yield* until(() => ann.tab.url() !== world.elsewhere, "it is back")
          yield* Pages.ready(ann.tab)
          const { moments } = yield* ann.told
          if (!names(moments).includes("pageshow persisted")) {
            const why = yield* Effect.promise(() =>
              ann.tab.evaluate(() => JSON.stringify(performance.getEntriesByType("navigation")[0]))
            )
            return console.warn(`Not proven: this browser does not keep the page, ${why}`)
          }
          yield* assertOnce(ann, observer, 2 * round)
          yield* ann.sees(({ events }) => events.includes(`observer-${round}`))
        }
        const { events } = yield* ann.told
        assert.deepStrictEqual(events, yield* observer.rpc.Entries())
      }))

    it.scoped("A8 tabs of one profile, copies of each other too, have a session each", () =>
      Effect.gen(function*() {
        const world = yield* Pages.makeWorld()
        const observer = yield* world.observer
        const ann = yield* world.open("ann")
        yield* Effect.promise(() => ann.tab.evaluate(() => sessionStorage.setItem("copied", "yes")))
        const tabs = [ann]
        for (const _ of [1, 2]) {
          const [copy] = yield* Effect.promise(() =>
            Promise.all([
              world.window.waitForEvent("page"),
              ann.tab.evaluate(() => void window.open(location.href))
            ])
          )
          assert.strictEqual(yield* Effect.promise(() => copy.evaluate(() => sessionStorage.getItem("copied"))), "yes")
          tabs.push(yield* Pages.ready(copy))
        }
        tabs.push(yield* world.open("ann"))
        assert.deepStrictEqual(yield* observer.rpc.Who(), ["ann", "ann", "ann", "ann", "observer"])
        for (const [i, tab] of tabs.entries()) yield* tab.call(100 * i + 1, 100 * i + 50)
        for (const tab of tabs) yield* tab.sees(({ answers, events }) => answers.length === 50 && events.length === 200)
        const held = yield* observer.rpc.Entries()
        assert.strictEqual(new Set(held).size, 200)
        for (const [i, tab] of tabs.entries()) {
          const { answers, events, statuses } = yield* tab.told
          const own = entries("ann", 100 * i + 1, 100 * i + 50)
          assert.deepStrictEqual(held.filter((entry) => own.includes(entry)), own)
          assert.deepStrictEqual(answers, own.map((entry) => [entry, held.indexOf(entry) + 1]))
          assert.deepStrictEqual(events, held)
          assert.deepStrictEqual(names(statuses), ["Connected"])
        }
      }))

    it.scoped("C7 T3 a server that is killed in the middle of 200 calls of a page, twice: each takes effect once", () =>
      Effect.gen(function*() {
        const world = yield* Pages.makeWorld()
        const ann = yield* world.open("ann")
        let { server } = world
        for (const called of [0, 100]) {
          // calls of two seconds: a slow machine, too, stops the server in the middle of them
          yield* ann.call(called + 1, called + 100, 20)
          yield* ann.sees(({ answers }) => answers.length > called + 30)
          yield* world.proxy.blackHole("toClient")
          yield* Effect.sleep("50 millis")
          yield* server.kill("SIGKILL")
          yield* server.ended
          // a black hole does not tell that the server has gone
          yield* world.proxy.reset
          server = yield* world.serve
          yield* ann.sees(({ answers }) => answers.length === called + 100)
        }
        const observer = yield* world.observer
        yield* assertOnce(ann, observer, 200)
        // what was told while the server was away is not told again, and the page knows
        yield* ann.sees(({ events }) => events.at(-1) === "gap" || events.at(-1) === "ann-200")
        const { events, statuses } = yield* ann.told
        const heard = events.filter((event) => event !== "gap")
        assert.lengthOf(events, heard.length + 2)
        assert.deepStrictEqual(missedInSilence(events, entries("ann", 1, 200)), [])
        assert.deepStrictEqual(heard, entries("ann", 1, 200).filter((entry) => heard.includes(entry)))
        assert.strictEqual(names(statuses).filter((status) => status === "Connected").length, 3)
      }))
  })
})
