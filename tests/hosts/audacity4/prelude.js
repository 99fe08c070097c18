// The far side of the fake: objects of the API as scripts see them. What they touch goes to Python
// as a text, is judged there, and comes back.
(function (gate) {
  var numbers = new WeakMap(), things = {}, waiting = {}, next = 1

  function pack(value) {
    if (value === undefined || value === null) { return ["none"] }
    if (typeof value === "boolean" || typeof value === "string") { return ["value", value] }
    if (typeof value === "number") {
      return isFinite(value) ? ["number", value] : ["odd", String(value)]
    }
    if (typeof value === "function") { return ["function"] }
    if (numbers.has(value)) { return ["thing", numbers.get(value)] }
    if (Array.isArray(value)) { return ["list", value.map(pack)] }
    if (value instanceof ArrayBuffer) { return ["bytes", Array.from(new Uint8Array(value))] }
    var members = {}
    Object.keys(value).forEach(function (key) { members[key] = pack(value[key]) })
    return ["map", members]
  }

  function unpack(tagged) {
    var kind = tagged[0], value = tagged[1]
    if (kind === "error") { throw new Error(value) }
    if (kind === "type error") { throw new TypeError(value) }
    if (kind === "none") { return undefined }
    if (kind === "null") { return null }
    if (kind === "nan") { return NaN }
    if (kind === "list") { return value.map(unpack) }
    if (kind === "sequence") { return sequence(value.map(unpack)) }
    if (kind === "bytes") { return new Uint8Array(value).buffer }
    if (kind === "thing") { return wrap(tagged[1], tagged[2], tagged[3], tagged[4]) }
    if (kind === "map") {
      var members = {}
      Object.keys(value).forEach(function (key) { members[key] = unpack(value[key]) })
      return members
    }
    return value
  }

  // A list of Qt's: it has an array's methods, and is none.
  function sequence(items) {
    var made = Object.create(Array.prototype, { length: { value: items.length } })
    items.forEach(function (item, index) { made[index] = item })
    return Object.freeze(made)
  }

  function ask(number, name, given) {
    return unpack(JSON.parse(gate.call(number, name, JSON.stringify(given.map(pack)))))
  }

  function bound(number, call) {
    return function () {
      return ask(number, "dispatch", [call, Array.prototype.slice.call(arguments)])
    }
  }

  function boundWorker(number, call) {
    return function () {
      var key = next++, given = [key, call, Array.prototype.slice.call(arguments)]
      ask(number, "start", given) // throws here what is wrong with the arguments
      return new Promise(function (resolve, reject) { waiting[key] = [resolve, reject] })
    }
  }

  function wrap(number, kind, methods, properties) {
    if (things[number]) { return things[number] }
    var functions = {}
    var made = new Proxy({}, {
      get: function (target, name) {
        if (typeof name === "symbol" || name === "then" || name === "toJSON") { return undefined }
        if (methods.indexOf(name) >= 0) {
          functions[name] = functions[name] || function () {
            var given = Array.prototype.slice.call(arguments)
            if (kind === "NativeLibrary" && name === "bind") { return bound(number, given[0]) }
            if (kind === "NativeLibrary" && name === "bindWorker") {
              return boundWorker(number, given[0])
            }
            return ask(number, name, given)
          }
          return functions[name]
        }
        if (properties.indexOf(name) >= 0) { return unpack(JSON.parse(gate.read(number, name))) }
        gate.missing(kind, name)
        throw new TypeError(kind + " has no " + name)
      },
      set: function (target, name) {
        gate.missing(kind, name + " to write to")
        throw new TypeError(kind + "." + name + " cannot be written to")
      }
    })
    numbers.set(made, number)
    things[number] = made
    return made
  }

  return {
    wrap: function (text) { return unpack(JSON.parse(text)) },
    settle: function (key, went, text) {
      var both = waiting[key]
      delete waiting[key]
      both[went ? 0 : 1](unpack(JSON.parse(text)))
    },
    watch: function (promise, report) {
      promise.then(
        function (value) { report.ended(true, value === false ? "false" : "", "") },
        function (why) {
          report.ended(false, String(why), String(why && why.message !== undefined ? why.message : why))
        }
      )
    }
  }
})
